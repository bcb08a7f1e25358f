// Home as a listener would see it, made by the server of the document as it is in this window.

import { icon, make, paint, set } from '../look/dom.js';
import { call } from './client.js';
import { shelfName } from './words.js';

const rest = 250; // ms after a change

const statuses = {
  FRESH: 'Fresh', LAST_GOOD: 'Last good', ON_DEMAND: 'On demand', DEFAULT: 'Default', LEFT_OUT: 'Empty',
};

export class Preview {
  // controls: a form with listener, time, market, platform and locale; on: card(shelf, card, what), problems(fields).
  constructor(root, controls, on) {
    Object.assign(this, { root, controls, on });
    this.asked = 0;
    controls.addEventListener('input', () => this.later());
    controls.addEventListener('submit', (e) => { e.preventDefault(); this.look(); });
  }

  // of is what to show: { document } or { name }.
  of(arrangement, editable) {
    this.arrangement = arrangement;
    this.editable = editable;
    this.later();
  }

  stop() {
    clearTimeout(this.timer);
    this.asked++;
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), rest);
  }

  async look() {
    clearTimeout(this.timer);
    const turn = ++this.asked;
    const from = Object.fromEntries(new FormData(this.controls));
    const request = { ...this.arrangement, listener: from.listener.trim(), market: from.market.trim().toUpperCase(), platform: from.platform.trim(), locale: from.locale.trim() };
    if (from.time) request.time = new Date(from.time).toISOString();
    this.root.setAttribute('aria-busy', 'true');
    try {
      if (!request.listener) return this.message('Choose a listener to see their Home.');
      const home = await call('PreviewHome', request);
      if (turn !== this.asked) return;
      this.on.problems([]);
      this.draw(home.shelves ?? []);
    } catch (e) {
      if (turn !== this.asked) return;
      if (e.reason === 'DOCUMENT_INVALID') {
        this.on.problems(e.fields);
        this.message('Home can’t be shown: see the fields marked in red.');
      } else this.message(e.message);
    } finally {
      if (turn === this.asked) this.root.setAttribute('aria-busy', 'false');
    }
  }

  message(text) {
    this.root.replaceChildren(make('p', { className: 'nothing', textContent: text }));
  }

  draw(shelves) {
    const scrolled = this.root.scrollTop;
    const shown = shelves.filter((s) => s.cards?.length > 0).map((s) => this.shelf(s));
    const out = shelves.filter((s) => !(s.cards?.length > 0)).map((s) => shelfName(s.name));
    if (out.length > 0) shown.push(make('p', { className: 'leftout', textContent: `Left out, with nothing to show: ${out.join(', ')}` }));
    if (shown.length === 0) return this.message('Nothing is on this Home: no shelf is for this listener at this time.');
    this.root.replaceChildren(...shown);
    this.root.scrollTop = scrolled;
  }

  shelf(s) {
    const badge = set(make('span', { className: 'badge', textContent: statuses[s.status] ?? '' }), { 'data-status': s.status ?? '' });
    const cards = make('ol', { className: `cards ${(s.component ?? 'CAROUSEL').toLowerCase()}` }, ...s.cards.map((c) => this.card(s.name, c)));
    for (const b of cards.querySelectorAll('.card:not(:first-child) .act')) b.tabIndex = -1; // one card of a shelf is in the tab order
    cards.addEventListener('keydown', (e) => {
      const li = e.target.closest('.card');
      const next = { ArrowRight: li?.nextElementSibling, ArrowLeft: li?.previousElementSibling }[e.key];
      if (!next) return;
      e.preventDefault();
      next.querySelectorAll('.act')[[...li.querySelectorAll('.act')].indexOf(e.target)]?.focus();
    });
    return set(make('section', { className: 'shelf' }, make('header', {}, make('h3', { textContent: s.title || shelfName(s.name) }), badge), cards),
      { 'data-shelf': s.name, 'aria-label': s.title || shelfName(s.name) });
  }

  card(shelf, c) {
    const img = make('img', { alt: '', loading: 'lazy' });
    const cover = make('span', { className: 'cover' }, img);
    paint(cover, img, c.image, 96);
    const act = (what, label, name) => {
      const b = set(make('button', { type: 'button', className: 'act' }, icon(name)), { 'aria-label': label, title: label });
      b.addEventListener('click', () => this.on.card(shelf, c, what));
      return b;
    };
    const li = set(make('li', { className: 'card' }, cover, make('span', { className: 'title', textContent: c.title }), make('span', { className: 'subtitle', textContent: c.subtitle ?? '' })), { 'data-uri': c.uri });
    if (this.editable) {
      const acts = make('span', { className: 'acts' }, act('pin', `Pin ${c.title}`, 'pin'), act('block', `Block ${c.title}`, 'block'));
      cover.append(acts);
    }
    return li;
  }
}
