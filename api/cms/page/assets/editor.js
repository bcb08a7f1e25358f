// The page of one draft: its placements, the form of one of them, and Home as a listener would see it.

import { icon, make, set } from '../look/dom.js';
import { resolve } from './clash.js';
import { call } from './client.js';
import { Draft } from './draft.js';
import { Form } from './form.js';
import { List } from './list.js';
import { Preview } from './preview.js';
import { placeOf, review } from './review.js';
import { shelfName, shelvesDeclared, when } from './words.js';

const states = { saved: 'Saved', waiting: 'Changed', saving: 'Saving…', clash: 'Somebody else changed this draft' };

export class Editor {
  // app: say(text), go(hash), name(), may(role), fail(error).
  constructor(root, app, draft) {
    Object.assign(this, { root, app, draft });
    this.chosen = 0;
    this.found = []; // findings of the last check, by the placement's index then
    this.wrong = []; // fields that the preview refused
    this.editable = app.may('editor');
    const $ = (id) => root.querySelector(`#${id}`);
    this.status = $('status');
    this.title = $('draft-title');
    this.review = $('review');
    this.add = $('add-shelf');
    this.list = new List($('placements'), { choose: (i) => this.choose(i), move: (a, b) => this.move(a, b), say: app.say });
    this.form = new Form($('placement-form'), { change: (p) => this.change(p), remove: () => this.remove() });
    this.preview = new Preview($('preview-home'), $('preview-controls'), { card: (s, c, what) => this.card(s, c, what), problems: (fields) => this.refused(fields) });
    this.title.value = draft.title;
    this.title.disabled = !this.editable;
    this.title.addEventListener('input', () => draft.change({ title: this.title.value }));
    this.add.addEventListener('change', () => this.place(this.add.value));
    this.review.addEventListener('click', () => this.publish());
    this.review.textContent = app.may('publisher') ? 'Review and publish' : 'Review';
    this.status.addEventListener('click', () => draft.clash && this.resolve());
    draft.addEventListener('state', () => this.state());
    this.leave = (e) => {
      if (draft.state !== 'saved') e.preventDefault(); // the browser asks whether to leave
    };
    addEventListener('beforeunload', this.leave);
    $('draft-about').replaceChildren(`From version ${draft.saved.baseVersion ?? 0} · changed by ${draft.saved.updater} `, when(draft.saved.updateTime));
    this.state();
    this.draw();
    if (draft.clash) this.resolve();
  }

  close() {
    removeEventListener('beforeunload', this.leave);
    this.preview.stop();
    if (!this.draft.isSaved()) this.draft.save();
  }

  // abandon closes without a word to the server, for an editor who is no longer known there.
  abandon() {
    this.draft.stop();
    removeEventListener('beforeunload', this.leave);
    this.preview.stop();
  }

  // resume goes on after the editor has signed in again.
  resume() {
    if (!this.draft.isSaved()) this.draft.save();
    this.preview.look();
  }

  get placements() {
    return this.draft.document.shelves ?? [];
  }

  draw(keepForm = false) {
    const all = this.placements;
    this.chosen = Math.max(0, Math.min(this.chosen, all.length - 1));
    this.list.show(all, this.chosen, this.findings(), this.editable);
    if (!keepForm) this.form.show(all[this.chosen], this.editable);
    this.form.problems(this.findings().filter((f) => f.index === this.chosen));
    const placed = new Set(all.map((p) => p.shelf));
    const free = shelvesDeclared().filter((s) => !placed.has(s.name));
    this.add.replaceChildren(make('option', { value: '', textContent: free.length > 0 ? 'Add a shelf…' : 'Every shelf has its place' }),
      ...free.map((s) => make('option', { value: s.name, textContent: shelfName(s.name) })));
    this.add.disabled = !this.editable || free.length === 0;
    this.root.querySelector('#no-placements').hidden = all.length > 0;
    this.preview.of({ document: this.draft.document }, this.editable);
  }

  // findings are what the last check said of placements as they still are, and what the preview just refused.
  findings() {
    return [...this.wrong, ...this.found].map((f) => ({ ...f, ...placeOf(f, this.draft.document) }));
  }

  refused(fields) {
    const before = JSON.stringify(this.wrong);
    this.wrong = fields.map((f) => ({ ...f, severity: 'ERROR' }));
    if (JSON.stringify(this.wrong) === before) return;
    this.list.show(this.placements, this.chosen, this.findings(), this.editable);
    this.form.problems(this.findings().filter((f) => f.index === this.chosen));
    if (fields.length > 0) this.app.say(`${fields.length} to mend: ${fields[0].message}`);
  }

  choose(i) {
    this.chosen = i;
    this.draw();
    this.app.say(`${shelfName(this.placements[i].shelf)} is chosen`);
  }

  // set replaces the placements. What a check said of other places than `keep` no longer need be true.
  set(shelves, keepForm = false) {
    this.found = [];
    this.draft.change({ document: { ...this.draft.document, shelves } });
    this.draw(keepForm);
  }

  change(placement) {
    this.set(this.placements.map((p, i) => (i === this.chosen ? placement : p)), true);
  }

  move(from, to) {
    const shelves = [...this.placements];
    shelves.splice(to, 0, ...shelves.splice(from, 1));
    this.chosen = to;
    this.set(shelves);
  }

  place(shelf) {
    if (!shelf) return;
    this.chosen = this.placements.length;
    this.set([...this.placements, { shelf }]);
    this.app.say(`${shelfName(shelf)} is added at the bottom`);
  }

  remove() {
    const { shelf } = this.placements[this.chosen];
    this.set(this.placements.filter((_, i) => i !== this.chosen));
    this.app.say(`${shelfName(shelf)} is taken off Home`);
    (this.list.root.children[this.chosen]?.querySelector('.pick') ?? this.add).focus();
  }

  // card pins or blocks a card of the preview.
  card(shelf, { uri, title, subtitle, image }, what) {
    const i = this.placements.findIndex((p) => p.shelf === shelf);
    if (i < 0) return;
    const p = { ...this.placements[i] };
    if (what === 'pin') p.pins = [...(p.pins ?? []).filter((c) => c.uri !== uri), { uri, title, subtitle, image }];
    else {
      p.blocks = [...new Set([...(p.blocks ?? []), uri])];
      p.pins = (p.pins ?? []).filter((c) => c.uri !== uri);
    }
    for (const n of ['pins', 'blocks']) if (p[n]?.length === 0) delete p[n];
    this.chosen = i;
    this.set(this.placements.map((old, j) => (j === i ? p : old)));
    this.app.say(`${title} is ${what === 'pin' ? 'pinned to' : 'blocked on'} ${shelfName(shelf)}`);
  }

  state() {
    const { state, trouble } = this.draft;
    this.status.textContent = trouble ? `Not saved: ${trouble} It is kept in this browser.` : states[state] ?? '';
    this.status.dataset.state = state;
    if (state === 'gone') this.status.textContent = trouble;
    if (state === 'saved') this.root.querySelector('#draft-about').replaceChildren(`From version ${this.draft.saved.baseVersion ?? 0} · changed by ${this.draft.saved.updater} `, when(this.draft.saved.updateTime));
    if (state === 'clash' && this.draft.clash && !this.resolving) this.resolve();
  }

  async resolve() {
    this.resolving = true;
    try {
      if (await resolve(this.draft)) this.app.say('Both changes are saved');
    } finally {
      this.resolving = false;
    }
    this.title.value = this.draft.title;
    this.draw();
  }

  async publish() {
    this.review.disabled = true;
    try {
      if (this.editable && !(await this.draft.save())) return this.app.say('Not saved yet, so it can’t be reviewed');
      const version = await review(this.draft, this.app.may('publisher'), (f) => this.lead(f), (check) => {
        this.found = check.findings;
        this.wrong = [];
        this.draw();
      });
      if (!version) return;
      this.app.say(`Version ${version.number} is published`);
      this.app.go('#/');
    } catch (e) {
      this.app.fail(e);
    } finally {
      this.review.disabled = false;
    }
  }

  // lead goes to the field of a finding.
  lead(finding) {
    const { index, field } = placeOf(finding, this.draft.document);
    if (index < 0) return;
    this.chosen = index;
    this.draw();
    this.form.focus(field);
  }
}

// openEditor loads the draft and makes its page.
export async function openEditor(root, app, name) {
  const draft = await Draft.open(name, app.name());
  const template = document.getElementById('editor');
  root.replaceChildren(template.content.cloneNode(true));
  app.title(draft.title);
  const editor = new Editor(root, app, draft);
  call('SampleListeners', { pageSize: 50 }).then(({ listeners = [] }) => {
    const box = root.querySelector('#listener');
    root.querySelector('#listeners').replaceChildren(...listeners.sort().map((l) => make('option', { value: l })));
    if (!box.value && listeners.length > 0) {
      box.value = listeners[0];
      editor.preview.look();
    }
  }).catch(app.fail);
  root.querySelector('#again').append(icon('again'));
  set(root.querySelector('#again'), { 'aria-label': 'Make the preview again' }).addEventListener('click', () => editor.preview.look());
  return editor;
}
