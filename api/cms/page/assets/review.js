// Before something is published: what the check found, what would change, and only then the button.

import { make, set } from '../look/dom.js';
import { call } from './client.js';
import { ask } from './dialog.js';
import { changesTable, fieldNames, shelfName } from './words.js';

// placeOf finds the placement and the field of a finding: "shelves[2].minCards".
export function placeOf(finding, document) {
  const [, index, field = ''] = finding.field.match(/^shelves\[(\d+)\](?:\.(.*))?$/) ?? [];
  const i = index === undefined ? -1 : Number(index);
  return { index: i, field, shelf: document.shelves?.[i]?.shelf ?? '' };
}

// findingsList shows them; go(finding) is called to get to one.
export function findingsList(findings, document, go) {
  if (findings.length === 0) return make('p', { className: 'good', textContent: 'Nothing is wrong with it.' });
  return make('ul', { className: 'findings' }, ...findings.map((f) => {
    const { shelf, field } = placeOf(f, document);
    const base = field.match(/^\w*/)[0];
    const where = shelf ? `${shelfName(shelf)}${base && base !== 'shelf' ? ` · ${fieldNames[base] ?? base}` : ''}` : 'Home';
    const kind = f.severity === 'ERROR' ? 'error' : 'warning';
    const text = make('span', { textContent: f.message });
    const place = go && shelf ? make('button', { type: 'button', className: 'link', textContent: where }) : make('b', { textContent: where });
    place.addEventListener('click', () => go?.(f));
    const share = f.sampled ? set(make('meter', { min: 0, max: f.sampled, value: f.listeners ?? 0 }), { 'aria-hidden': 'true' }) : null;
    return make('li', { className: kind }, make('span', { className: `tag ${kind}`, textContent: kind === 'error' ? 'To mend' : 'To look at' }), make('span', {}, place, ': ', text), share);
  }));
}

// review checks the draft, shows what publishing would do, and publishes if the editor says so. It gives the version,
// or null. go(finding) leads to a field.
export async function review(draft, mayPublish, go, checked) {
  const check = await call('CheckDraft', { name: draft.name });
  check.findings ??= [];
  checked(check);
  const errors = check.findings.filter((f) => f.severity === 'ERROR').length;
  const published = Number(check.publishedVersion ?? 0);
  const next = published + 1;
  const base = Number(draft.saved.baseVersion ?? 0);
  const content = [];
  if (base !== published) {
    content.push(make('p', { className: 'trouble', textContent: `This draft was begun from version ${base}, and version ${published} is published by now. Publishing replaces what changed since, as listed below.` }));
  }
  content.push(make('h3', { textContent: 'What the check found' }));
  let leave;
  content.push(findingsList(check.findings, draft.saved.document, (f) => leave(f)));
  content.push(make('h3', { textContent: published > 0 ? `What changes on Home, against version ${published}` : 'What changes on Home' }), changesTable(check.changes, 'Now', 'Then'));
  if (!mayPublish) content.push(make('p', { className: 'hint', textContent: 'Publishing needs the role publisher: ask somebody who has it.' }));
  let version = null;
  const asked = ask(`Publish “${draft.title}”`, content, [
    { value: '', text: 'Not yet' },
    { value: 'publish', text: errors > 0 ? `${errors} to mend first` : `Publish version ${next}`, kind: 'primary', disabled: !mayPublish || errors > 0 },
  ], {
    wide: true,
    act: async (value) => {
      if (value !== 'publish') return '';
      try {
        version = await call('PublishDraft', { name: draft.name, etag: check.etag, expectedVersion: String(published) });
        return '';
      } catch (e) {
        return e.reason === 'VERSION_MOVED' || e.reason === 'ETAG_MISMATCH' ? `${e.message} Close this and review again.` : e.message;
      }
    },
  });
  leave = (f) => {
    document.querySelector('dialog[open]')?.end('');
    go(f);
  };
  await asked;
  return version;
}
