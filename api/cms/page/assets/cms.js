// The pages of the CMS: who is there, and which page the address means.

import { make } from '../look/dom.js';
import { themeButton } from '../look/theme.js';
import { call, signIn } from './client.js';
import { openEditor } from './editor.js';
import { back, drafts, history, versions } from './lists.js';
import { Session } from './session.js';
import { declare } from './words.js';

const $ = (id) => document.getElementById(id);
const main = $('main');
let caller = { name: '', roles: [] };
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
  name: () => caller.name,
  may: (role) => caller.roles.includes(role),
  fail(error) {
    if (error.name === 'AbortError' || session?.ended) return; // which says enough
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
    } else await ({ back, versions, history }[path] ?? drafts)(stage, app);
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

// enter finds out who is there, and asks them to sign in where no proxy says so.
async function enter() {
  try {
    caller = { name: '', roles: [], ...(await call('GetCaller')) };
    declare((await call('ListShelves')).shelves ?? []);
  } catch (e) {
    main.replaceChildren();
    main.setAttribute('aria-busy', 'false');
    if (e.code !== 'unauthenticated' || people.length > 0) return app.fail(e);
    return session ? session.ask() : askForToken(e.message);
  }
  $('caller').textContent = caller.name;
  $('caller').title = caller.roles.at(-1) ?? '';
  session?.begin();
  await show();
}

function askForToken(why) {
  const form = $('paste');
  $('paste-why').textContent = why;
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

const { people, signIn: canSignIn } = await fetch('entry').then((r) => (r.ok ? r.json() : {}), () => ({})).then((way) => ({ people: [], signIn: false, ...way }));
const session = canSignIn ? new Session({
  caller: () => caller,
  editor: () => open,
  say: app.say,
  fail: app.fail,
  enter: () => {
    open?.abandon();
    open = null;
    return enter();
  },
}) : null;
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
    open?.close(); // what was changed is saved by whoever changed it
    open = null;
    signIn(box.value);
    enter();
  });
  $('choose-person').hidden = false;
  $('caller').hidden = true;
}
themeButton($('theme'), app.say);
$('trouble-close').addEventListener('click', () => { $('trouble').hidden = true; });
addEventListener('hashchange', () => (session?.asking ? session.ask() : show()));
await enter();
