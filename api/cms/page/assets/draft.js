// A draft that is being edited: it saves itself a moment after each change, keeps in this browser what isn't saved
// yet, and tells when somebody else was quicker.

import { call } from './client.js';
import { merge, same } from './merge.js';

const rest = 700; // ms without a change before it is saved
const retry = 4000; // ms before another try when the server is away

const key = (name, by) => `cms ${by} ${name}`;

export class Draft extends EventTarget {
  // open loads a draft for the editor called by.
  static async open(name, by) {
    const saved = await call('GetDraft', { name });
    saved.document ??= {};
    const d = new Draft(saved, by);
    const kept = d.kept();
    if (kept && !(same(kept.document, saved.document) && kept.title === saved.title)) {
      if (kept.etag === saved.etag) {
        Object.assign(d, { document: kept.document, title: kept.title });
        d.schedule();
      } else {
        d.clash = d.against(saved, kept);
      }
    } else d.forget();
    return d;
  }

  constructor(saved, by) {
    super();
    this.name = saved.name;
    this.by = by; // what one editor didn't save is not saved in another one's name
    this.saved = saved; // as the server has it
    this.document = saved.document;
    this.title = saved.title;
    this.state = 'saved'; // or 'waiting', 'saving', 'failed', 'clash', 'gone'
    this.trouble = '';
    this.clash = null;
  }

  // change replaces the document, the title or both.
  change({ document = this.document, title = this.title }) {
    this.document = document;
    this.title = title;
    this.keep();
    this.dispatchEvent(new Event('change'));
    if (this.state !== 'clash') this.schedule();
  }

  schedule(after = rest) {
    if (after !== retry) this.set('waiting'); // else why it failed stays to be read
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), after);
  }

  // save is true when the server has everything.
  async save() {
    clearTimeout(this.timer);
    while (this.saving) await this.saving;
    if (this.clash || this.stopped) return false;
    if (this.isSaved()) {
      this.forget();
      this.set('saved');
      return true;
    }
    this.saving = this.send();
    try {
      return await this.saving;
    } finally {
      this.saving = null;
    }
  }

  // stop gives up saving: what isn't saved stays in this browser.
  stop() {
    clearTimeout(this.timer);
    this.stopped = true;
  }

  isSaved() {
    return same(this.document, this.saved.document) && this.title === this.saved.title;
  }

  async send() {
    const { document, title } = this;
    this.set('saving');
    try {
      this.saved = await call('UpdateDraft', { draft: { name: this.name, etag: this.saved.etag, title, document }, updateMask: 'title,document' });
      this.saved.document ??= {};
    } catch (e) {
      if (e.reason === 'ETAG_MISMATCH') await this.compare();
      else if (e.reason === 'DRAFT_UNKNOWN') this.set('gone', 'This draft is no more: it was published or deleted.');
      else {
        this.set('failed', e.message);
        if (e.code === 'unavailable') this.schedule(retry);
      }
      return false;
    }
    if (this.document !== document || this.title !== title) { // changed meanwhile
      this.keep();
      this.schedule();
      return false;
    }
    this.document = this.saved.document; // the same, as the server writes it
    this.forget();
    this.set('saved');
    return true;
  }

  // compare asks for what somebody else has saved.
  async compare() {
    try {
      const theirs = await call('GetDraft', { name: this.name });
      theirs.document ??= {};
      this.clash = this.against(theirs, { document: this.document, title: this.title, base: this.saved.document });
      this.set('clash');
    } catch (e) {
      this.set('failed', e.message);
    }
  }

  against(theirs, mine) {
    this.state = 'clash';
    return { theirs, mine, ...merge(mine.base ?? {}, mine.document, theirs.document) };
  }

  // settle ends a clash with the document that the editor chose.
  settle(document, title) {
    this.saved = this.clash.theirs;
    this.clash = null;
    this.state = 'waiting';
    this.change({ document, title });
    return this.save();
  }

  set(state, trouble = '') {
    this.state = state;
    this.trouble = trouble;
    this.dispatchEvent(new Event('state'));
  }

  // What isn't saved is kept in this browser: it survives a closed window.
  keep() {
    try {
      localStorage.setItem(key(this.name, this.by), JSON.stringify({ etag: this.saved.etag, base: this.saved.document, document: this.document, title: this.title }));
    } catch { /* full or forbidden: then it is only in this window */ }
  }

  kept() {
    try {
      return JSON.parse(localStorage.getItem(key(this.name, this.by)));
    } catch {
      return null;
    }
  }

  forget() {
    try {
      localStorage.removeItem(key(this.name, this.by));
    } catch { /* it was not kept either */ }
  }
}
