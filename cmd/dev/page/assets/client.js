// What the page asks of the server. Every call gives up by itself; a failure is an Error with a text for people.

const patience = 5000; // ms

async function call(path, options = {}, signal) {
  const limit = AbortSignal.timeout(patience);
  let response;
  try {
    response = await fetch(path, { ...options, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Error(limit.aborted ? 'The server takes too long.' : 'The server can’t be reached.');
  }
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    const error = new Error(body?.error?.message ?? `The server said ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return response;
}

const as = (user) => ({ Authorization: `Bearer dev-user:${user}`, Accept: 'application/json' });

// fetchHome is the text of Home, which is compared before it is read. The browser asks whether what it has is still
// right: the page shows what a tap does, so it can't wait for as long as an app would.
export async function fetchHome(user, signal) {
  return (await call('/v1/home', { headers: as(user), cache: 'no-cache' }, signal)).text();
}

// send posts one event and fails unless it is accepted. Its id is new, and its time is now by this clock.
export async function send(user, action) {
  const random = crypto.getRandomValues(new Uint8Array(12));
  const id = 'page-' + Array.from(random, (b) => b.toString(16).padStart(2, '0')).join('');
  const time = new Date();
  const response = await call('/v1/events', {
    method: 'POST',
    headers: { ...as(user), 'Content-Type': 'application/json' },
    body: JSON.stringify({ events: [{ id, time: time.toISOString(), ...action }] }),
  });
  const result = (await response.json()).results?.[0];
  if (result?.error) throw new Error(`Refused: ${[result.field, result.error].filter(Boolean).join(': ')}`);
  return { id, time: time.getTime() };
}

export async function fetchListeners() {
  return (await (await call('/dev/listeners')).json()).listeners;
}

// artistOf is the id of a track's artist, or null when nobody knows.
export async function artistOf(track) {
  try {
    return (await (await call(`/dev/artist/${encodeURIComponent(track)}`)).json()).artist;
  } catch (e) {
    if (e.status === 404) return null;
    throw e;
  }
}

// fetchWay is the counters of the way, or null when this process doesn't show them.
export async function fetchWay(signal) {
  try {
    return await (await call('/dev/way', {}, signal)).json();
  } catch (e) {
    if (e.status === 404) return null;
    throw e;
  }
}
