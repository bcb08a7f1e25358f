// The pages of the CMS: who is there, and which page the address means.

import { make } from '../look/dom.js';
import { themeButton } from '../look/theme.js';
import { call, signIn } from './client.js';
import { openEditor } from './editor.js';
import { drafts, history, versions } from './lists.js';
import { declare } from './words.js';

const $ = (id) => document.getElementById(id);
const main = $('main');
let caller = { roles: [] };
let open = null; // the editor, while there is one
let turn = 0;

const app = {
  say(text) {
    $('say').textContent = text;
  },
  title(text) {
    document.title = `${text} · homefeed`;
  },
  go(hash) {
    if (location.hash === hash) show();
    else location.hash = hash;
  },
  may: (role) => caller.roles.includes(role),
  fail(error) {
    if (error.name === 'AbortError') return;
    $('trouble-text').textContent = error.message;
    $('trouble').hidden = false;
  },
};

async function show() {
  const mine = ++turn;
  open?.close();
  open = null;
  $('trouble').hidden = true;
  const path = location.hash.replace(/^#\/?/, '');
  for (const a of document.querySelectorAll('.tabs a')) {
    const here = a.hash.replace(/^#\/?/, '') === (path.startsWith('drafts/') ? '' : path);
    if (here) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  main.setAttribute('aria-busy', 'true');
  try {
    const stage = make('div', { className: 'stage' });
    if (path.startsWith('drafts/')) {
      const editor = await openEditor(stage, app, path);
      if (mine !== turn) return editor.close();
      open = editor;
    } else await ({ versions, history }[path] ?? drafts)(stage, app);
    if (mine !== turn) return;
    main.replaceChildren(stage);
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  } catch (e) {
    if (mine !== turn) return;
    main.replaceChildren(make('p', { className: 'nothing' }, make('a', { href: '#/', textContent: 'Back to the drafts' })));
    app.fail(e);
  } finally {
    if (mine === turn) main.setAttribute('aria-busy', 'false');
  }
}

// enter finds out who is there, and asks for a token where no proxy says so.
async function enter() {
  try {
    caller = { roles: [], ...(await call('GetCaller')) };
    declare((await call('ListShelves')).shelves ?? []);
  } catch (e) {
    if (e.code === 'unauthenticated' && people.length === 0) return askForToken(e.message);
    main.replaceChildren();
    return app.fail(e);
  }
  $('caller').textContent = caller.name;
  $('caller').title = caller.roles.at(-1) ?? '';
  await show();
}

function askForToken(why) {
  const form = $('sign-in');
  $('sign-in-why').textContent = why;
  form.hidden = false;
  form.onsubmit = (e) => {
    e.preventDefault();
    form.hidden = true;
    signIn($('token').value.trim());
    $('token').value = ''; // it is kept nowhere but in this window
    enter();
  };
  $('token').focus();
}

const people = await fetch('people').then((r) => (r.ok ? r.json() : []), () => []);
if (people.length > 0) {
  const box = $('people');
  box.replaceChildren(...people.map((p) => make('option', { value: p.token, textContent: p.name })));
  let kept = '';
  try {
    kept = sessionStorage.getItem('cms person') ?? '';
  } catch { /* the first, then */ }
  if (people.some((p) => p.token === kept)) box.value = kept;
  signIn(box.value);
  box.addEventListener('change', () => {
    try {
      sessionStorage.setItem('cms person', box.value);
    } catch { /* asked again next time */ }
    signIn(box.value);
    enter();
  });
  $('choose-person').hidden = false;
  $('caller').hidden = true;
}
themeButton($('theme'), app.say);
$('trouble-close').addEventListener('click', () => { $('trouble').hidden = true; });
addEventListener('hashchange', show);
await enter();
