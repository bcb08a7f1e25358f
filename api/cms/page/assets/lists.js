// The pages with lists: drafts and what is published, versions, and history.

import { make, set } from '../look/dom.js';
import { all, call } from './client.js';
import { ask } from './dialog.js';
import { tags } from './list.js';
import { changesTable, value, when } from './words.js';

const button = (text, act, more = {}) => {
  const b = make('button', { type: 'button', textContent: text, ...more });
  b.addEventListener('click', act);
  return b;
};

const section = (title, ...content) => make('section', { className: 'panel' }, make('h2', { textContent: title }), ...content);

// back is where a window ends up that was opened to sign in again.
export async function back(root, app) {
  app.title('Signed in');
  root.append(make('section', { className: 'panel signin' }, make('h2', { textContent: 'You are signed in' }),
    make('p', { textContent: 'Close this window, and go on in the one that you came from.' }), make('p', {}, make('a', { href: '#/', textContent: 'Or begin here' }))));
}

// drafts is the first page.
export async function drafts(root, app) {
  const [published, list] = await Promise.all([call('GetVersion', { name: 'versions/published' }), all('ListDrafts', 'drafts')]);
  app.title('Home');
  const number = Number(published.number ?? 0);
  const begin = async () => {
    const title = make('input', { type: 'text', value: '', maxLength: 80, id: 'new-title', placeholder: 'Spring on Home' });
    let made;
    await ask('New draft', [make('div', { className: 'field' }, make('label', { htmlFor: 'new-title', textContent: 'What is it for?' }), title,
      make('small', { textContent: `It begins as a copy of ${number > 0 ? `version ${number}` : 'Home as it is'}. Nothing changes for listeners until it is published.` }))],
    [{ value: '', text: 'Cancel' }, { value: 'make', text: 'Begin', kind: 'primary' }], {
      act: async (v) => {
        if (v !== 'make') return '';
        if (!title.value.trim()) return 'Give it a title, so that others know what it is for.';
        try {
          made = await call('CreateDraft', { draft: { title: title.value.trim() } });
          return '';
        } catch (e) {
          return e.message;
        }
      },
    });
    if (made) app.go(`#/${made.name}`);
  };
  const now = number > 0
    ? make('p', { className: 'now' }, make('b', { textContent: `Version ${number}: ${published.title}` }), make('span', {}, `published by ${published.publisher} `, when(published.publishTime)))
    : make('p', { className: 'now' }, make('b', { textContent: 'Nothing is published yet' }), make('span', { textContent: 'Home shows every shelf under its own title. Begin a draft to arrange it.' }));
  const shelves = make('ol', { className: 'shelflist' }, ...(published.document?.shelves ?? []).map((p) => make('li', {}, value('order', [p.shelf]), ...tags(p).map((t) => make('small', { textContent: t })))));
  root.replaceChildren(make('div', { className: 'lists' },
    section('On Home now', now, shelves),
    section('Drafts', make('div', { className: 'headline' }, make('p', { className: 'hint', textContent: 'Drafts save themselves. Several people can work on one.' }),
      button('New draft', begin, { className: 'primary', disabled: !app.may('editor'), id: 'new-draft' })),
    list.length > 0 ? make('ul', { className: 'rows' }, ...list.map((d) => draftRow(d, number, app, root))) : make('p', { className: 'nothing', textContent: 'No drafts.' }))));
}

function draftRow(d, published, app, root) {
  const base = Number(d.baseVersion ?? 0);
  const remove = async () => {
    const answer = await ask(`Delete “${d.title}”?`, [make('p', { textContent: 'What it was stays in the history.' })], [{ value: '', text: 'Keep it' }, { value: 'delete', text: 'Delete', kind: 'danger' }], {
      act: (v) => (v === 'delete' ? call('DeleteDraft', { name: d.name, etag: d.etag }).then(() => '', (e) => e.message) : ''),
    });
    if (answer !== 'delete') return;
    app.say(`${d.title} is deleted`);
    await drafts(root, app);
    root.querySelector('#new-draft').focus();
  };
  return make('li', {}, make('a', { href: `#/${d.name}`, textContent: d.title }),
    make('span', { className: 'by' }, `changed by ${d.updater} `, when(d.updateTime), base < published ? set(make('span', { className: 'tag warning', textContent: `from version ${base}` }), { title: `Version ${published} is published by now` }) : ''),
    button('Delete', remove, { className: 'quiet', disabled: !app.may('editor'), ariaLabel: `Delete ${d.title}` }));
}

// versions lists them, compares two and goes back.
export async function versions(root, app) {
  const list = await all('ListVersions', 'versions');
  app.title('Versions');
  if (list.length === 0) return root.replaceChildren(make('div', { className: 'lists' }, section('Versions', make('p', { className: 'nothing', textContent: 'Nothing is published yet.' }))));
  const newest = Number(list[0].number);
  const options = (chosen) => [...list.map((v) => make('option', { value: v.name, textContent: `Version ${v.number}: ${v.title}`, selected: v.name === chosen })),
    make('option', { value: 'versions/0', textContent: 'Before any was published', selected: chosen === 'versions/0' })];
  const from = make('select', { id: 'compare-from' }, ...options(`versions/${newest - 1}`));
  const to = make('select', { id: 'compare-to' }, ...options(list[0].name));
  const result = set(make('div', {}), { 'aria-live': 'polite' });
  const compare = () => call('Compare', { from: from.value, to: to.value }).then((r) => result.replaceChildren(changesTable(r.changes)), app.fail);
  for (const s of [from, to]) s.addEventListener('change', compare);
  const back = async (v) => {
    const { changes } = await call('Compare', { from: 'versions/published', to: v.name });
    let made;
    await ask(`Go back to version ${v.number}?`, [make('p', { textContent: `Home as version ${v.number} had it is published again, as version ${newest + 1}.` }), changesTable(changes, 'Now', 'Then')],
      [{ value: '', text: 'Cancel' }, { value: 'back', text: `Publish version ${newest + 1}`, kind: 'primary' }], {
        wide: true,
        act: async (answer) => {
          if (answer !== 'back') return '';
          try {
            made = await call('RollBack', { name: v.name, expectedVersion: String(newest) });
            return '';
          } catch (e) {
            return e.message;
          }
        },
      });
    if (!made) return;
    app.say(`Version ${made.number} is published`);
    await versions(root, app);
    root.querySelector('h2').focus();
  };
  root.replaceChildren(make('div', { className: 'lists' },
    section('Versions', make('ul', { className: 'rows' }, ...list.map((v, i) => make('li', {},
      make('b', { textContent: `${v.number}. ${v.title}` }),
      make('span', { className: 'by' }, v.rollbackOf ? `back to version ${v.rollbackOf.split('/')[1]} · ` : '', `by ${v.publisher} `, when(v.publishTime)),
      i === 0 ? make('span', { className: 'tag good', textContent: 'On Home now' })
        : button('Go back to it', () => back(v).catch(app.fail), { className: 'quiet', disabled: !app.may('publisher'), ariaLabel: `Go back to version ${v.number}` }))))),
    section('Compare', make('div', { className: 'pair' }, make('div', { className: 'field' }, make('label', { htmlFor: 'compare-from', textContent: 'From' }), from), make('div', { className: 'field' }, make('label', { htmlFor: 'compare-to', textContent: 'To' }), to)), result)));
  await compare();
}

const actions = {
  DRAFT_CREATED: 'began the draft', DRAFT_UPDATED: 'changed the draft', DRAFT_DELETED: 'deleted the draft', PUBLISHED: 'published', ROLLED_BACK: 'went back',
};

// history is the log, the newest first, a page at a time.
export async function history(root, app) {
  app.title('History');
  const list = make('ol', { className: 'rows history' });
  const more = button('Show more', () => load().catch(app.fail), { hidden: true });
  let pageToken = '';
  const load = async () => {
    const page = await call('ListAuditEntries', { pageSize: 30, pageToken });
    pageToken = page.nextPageToken ?? '';
    more.hidden = !pageToken;
    list.append(...(page.auditEntries ?? []).map(entry));
  };
  root.replaceChildren(make('div', { className: 'lists' }, section('History', make('p', { className: 'hint', textContent: 'Everything that anybody changed, from what to what. It can only be added to.' }), list, more)));
  await load();
  if (list.children.length === 0) list.replaceWith(make('p', { className: 'nothing', textContent: 'Nothing has happened yet.' }));
}

function entry(e) {
  const version = e.version ? ` as version ${e.version.split('/')[1]}` : '';
  const of = e.rollbackOf ? ` to version ${e.rollbackOf.split('/')[1]},` : '';
  const text = make('span', {}, make('b', { textContent: e.actor }), ` ${actions[e.action]}${of} `, e.title ? make('i', { textContent: e.title }) : '', version);
  const line = [text, make('span', { className: 'by' }, when(e.time))];
  if (!e.changes?.length) return make('li', {}, ...line);
  const n = e.changes.length;
  const details = make('details', {}, make('summary', { textContent: n === 1 ? '1 change' : `${n} changes` }));
  details.addEventListener('toggle', () => details.children.length === 1 && details.append(changesTable(e.changes)));
  return make('li', {}, ...line, details);
}
