// The log beside Home: what was done, and when which shelf showed it.

import { icon, make, paint, set } from '../look/dom.js';

const kept = 30;
const patience = 90_000; // ms after which an action stops waiting for a shelf

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

export class Log {
  constructor(list) {
    this.list = list;
    this.waiting = []; // actions that shelves may still have to show
  }

  clear() {
    this.list.replaceChildren();
    this.waiting = [];
  }

  // add starts an entry for something of a kind that the reader did; what it returns says how it went on.
  add(text, kind, card) {
    const img = make('img', { alt: '' });
    const cover = make('span', { className: 'cover' }, img);
    paint(cover, img, card.image, 48);
    const then = make('span', { className: 'then' }, make('span', { className: 'wait', textContent: 'sending the event …' }));
    this.put(make('li', {}, cover, make('b', { textContent: text, title: text }), this.time(), then));
    const entry = { kind, then, time: Infinity, sent: performance.now(), shown: new Set() };
    return {
      accepted: (time) => {
        entry.time = time;
        this.waiting.push(entry);
        then.replaceChildren(make('span', { className: 'wait', textContent: 'event accepted, waiting for Home …' }));
      },
      failed: (why) => then.replaceChildren(make('span', { className: 'wrong', textContent: why })),
    };
  }

  // changed tells the entries whose events the changed shelves now show, and returns the texts for a screen reader.
  // A shelf's as-of is the time of the newest event that it shows: the entry of just that time, and earlier ones of
  // its kind, which were done together with it. Without such an entry, somebody else's event came after them.
  changed(changes) {
    const now = performance.now();
    const told = new Set();
    for (const change of changes) {
      const cause = this.waiting.find((e) => e.time === change.asOf);
      for (const entry of this.waiting) {
        if (change.asOf < entry.time || entry.shown.has(change.name) || (cause && cause.kind !== entry.kind)) continue;
        if (entry.shown.size === 0) entry.then.replaceChildren();
        entry.shown.add(change.name);
        entry.then.append(this.chip(change, now - entry.sent));
        told.add(change);
      }
    }
    this.waiting = this.waiting.filter((entry) => {
      if (now - entry.sent < patience) return true;
      if (entry.shown.size === 0) entry.then.replaceChildren(make('span', { textContent: 'no shelf has changed because of it' }));
      return false;
    });
    const alone = changes.filter((c) => !told.has(c) && c.added + c.moved + c.gone > 0);
    if (alone.length > 0) {
      const then = make('span', { className: 'then', textContent: alone.map((c) => c.title).join(', ') });
      this.put(make('li', {}, make('span', { className: 'dot' }, icon('right')), make('b', { textContent: 'Home changed' }), this.time(), then));
    }
    return changes.filter((c) => c.added + c.moved + c.gone > 0).map((c) => c.title);
  }

  isWaiting() {
    return this.waiting.some((e) => e.shown.size === 0 || performance.now() - e.sent < 15_000);
  }

  chip(change, after) {
    const cards = change.added + change.moved;
    const chip = make('span', { className: cards + change.gone > 0 ? 'chip' : 'chip same', textContent: `${change.title} · ${seconds(after)}` });
    chip.title = cards > 0 ? `${change.added} new, ${change.moved} moved up` : 'made again; the cards are the same';
    return set(chip, { 'data-shelf': change.name });
  }

  time() {
    const now = new Date();
    return make('time', { dateTime: now.toISOString(), textContent: now.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' }) });
  }

  put(item) {
    this.list.prepend(item);
    while (this.list.children.length > kept) this.list.lastElementChild.remove();
  }
}
