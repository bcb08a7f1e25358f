// The session of an editor who signed in here: its begin, its end by the clock or by hand, and how to go on after it. An
// editor who has a draft open signs in again in another window, so that this one keeps what isn't saved.

import { call, ends } from './client.js';

const $ = (id) => document.getElementById(id);
const path = () => location.hash.replace(/^#\/?/, '');
const back = 'back'; // the page of the other window

export class Session {
  // app: caller(), editor() or null, enter(), say(text), fail(error).
  constructor(app) {
    this.app = app;
    this.ended = false;
    this.windows = new BroadcastChannel('homefeed cms session');
    this.windows.addEventListener('message', () => this.resume());
    ends.addEventListener('end', (e) => this.end(e));
    addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.ended && this.resume());
    $('sign-out').addEventListener('click', () => this.signOut());
  }

  // begin: the server knows who is there.
  begin() {
    this.ended = false;
    this.name = this.app.caller().name;
    $('ended').hidden = true;
    $('sign-in').hidden = true;
    $('sign-out').hidden = false;
    $('tabs').hidden = false;
    this.windows.postMessage('signed in');
  }

  get asking() {
    return !$('sign-in').hidden;
  }

  // ask is for somebody whom the server doesn't know.
  ask() {
    $('ended').hidden = true;
    $('sign-out').hidden = true;
    $('tabs').hidden = true;
    $('caller').textContent = '';
    $('sign-in').hidden = false;
    $('sign-in-link').href = `session/new?page=${encodeURIComponent(path())}`;
    $('sign-in-link').focus();
    document.title = 'Sign in · homefeed';
  }

  // end: the server no longer knows them, in the midst of their work.
  end(e) {
    if (!this.name) return; // they never were
    e.preventDefault();
    if (this.ended) return;
    this.ended = true;
    const editing = this.app.editor() !== null;
    $('trouble').hidden = true;
    $('ended-text').textContent = editing
      ? 'Your session has ended. Nothing is lost: what you change is kept here. Sign in again in a new window, then go on in this one.'
      : 'Your session has ended. Sign in again to go on.';
    $('ended-link').target = editing ? '_blank' : '';
    $('ended-link').href = `session/new?page=${encodeURIComponent(editing ? back : path())}`;
    $('ended').hidden = false;
  }

  // resume asks who is there now, after another window signed in or out. The same editor goes on where this window was.
  async resume() {
    if (this.asking) return this.app.enter();
    let now;
    try {
      now = await call('GetCaller');
    } catch {
      return; // not yet
    }
    const [ended, editor] = [this.ended, this.app.editor()];
    this.ended = false;
    $('ended').hidden = true;
    if (now.name !== this.name || (ended && !editor)) return this.app.enter();
    if (!ended) return;
    editor.resume();
    this.app.say('You are signed in again');
  }

  async signOut() {
    const draft = this.app.editor()?.draft;
    if (draft && !draft.isSaved() && !(await draft.save())) {
      return this.app.fail(new Error('You are not signed out: this draft can’t be saved just now.'));
    }
    const answer = await fetch('session/end', { method: 'POST' }).catch(() => null);
    if (!answer?.ok) return this.app.fail(new Error('You are not signed out: the server can’t be reached.'));
    this.name = '';
    this.windows.postMessage('signed out');
    await this.app.enter();
  }
}
