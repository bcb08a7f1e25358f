// What the pages ask of the CMS: its API as JSON. Every call gives up by itself; a failure is a Refusal with a text
// for people, a reason for programs, and the fields that are wrong.

const patience = 20_000; // ms: a check makes Home for a sample of listeners

export class Refusal extends Error {
  constructor(message, { code = '', reason = '', fields = [] } = {}) {
    super(message);
    Object.assign(this, { code, reason, fields });
  }
}

// ends is told, with an 'end', when the server doesn't know who calls. Whoever takes the event says so to the editor.
export const ends = new EventTarget();

let token = '';

// signIn is how the caller is known from now on; '' is by what a proxy or a cookie adds to each request.
export function signIn(as) {
  token = as;
}

export async function call(method, request = {}, signal) {
  const limit = AbortSignal.timeout(patience);
  const headers = { 'Content-Type': 'application/json', 'Connect-Protocol-Version': '1' };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response, body;
  try {
    response = await fetch(`/homefeed.cms.v1.Cms/${method}`, {
      method: 'POST', headers, body: JSON.stringify(request), signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    body = await response.json().catch(() => null);
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Refusal(limit.aborted ? 'The server takes too long.' : 'The server can’t be reached.', { code: 'unavailable' });
  }
  if (response.ok && body) return body;
  const ended = body?.code === 'unauthenticated' && !ends.dispatchEvent(new Event('end', { cancelable: true }));
  const detail = (type) => (body?.details ?? []).find((d) => d.type === `google.rpc.${type}`)?.debug;
  throw new Refusal(ended ? 'Your session has ended.' : body?.message ? sentence(body.message) : `The server said ${response.status}.`, {
    code: body?.code, reason: detail('ErrorInfo')?.reason,
    fields: (detail('BadRequest')?.fieldViolations ?? []).map((v) => ({ field: v.field, message: v.description })),
  });
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

// all asks for every page of a list, at most limit entries.
export async function all(method, list, limit = 200) {
  const found = [];
  let pageToken = '';
  do {
    const page = await call(method, { pageSize: 50, pageToken });
    found.push(...(page[list] ?? []));
    pageToken = page.nextPageToken ?? '';
  } while (pageToken && found.length < limit);
  return found;
}
