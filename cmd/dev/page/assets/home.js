// Home as a list of shelves. update compares with what is shown, changes only what differs, and shows it moving.

import { ago, calm, icon, make, paint, set } from '../look/dom.js';

const size = 160; // px of a cover
const shown = 6000; // ms that a new card stays marked

export class Home {
  constructor(root, on) {
    this.root = root;
    this.on = on; // play(card), heart(card), follow(card)
    this.shelves = new Map(); // name → what is on the page
    this.done = new Set(); // "heart track:x", "follow artist:y"
    root.addEventListener('keydown', (e) => this.key(e));
  }

  clear() {
    this.root.replaceChildren();
    this.root.setAttribute('aria-busy', 'true');
    this.shelves.clear();
    this.done.clear();
  }

  // update shows home and returns what changed: {name, title, asOf, added, moved, gone}. Nothing counts as changed
  // the first time.
  update(home) {
    const first = this.root.getAttribute('aria-busy') === 'true';
    const focus = document.activeElement;
    const changes = [];
    const visible = home.shelves.filter((s) => s.cards.length > 0);
    for (const [name, shelf] of this.shelves) {
      if (visible.some((s) => s.name === name)) continue;
      shelf.section.remove();
      this.shelves.delete(name);
    }
    visible.forEach((s, i) => {
      let shelf = this.shelves.get(s.name);
      if (!shelf) this.shelves.set(s.name, (shelf = this.newShelf(s.name)));
      if (this.root.children[i] !== shelf.section) this.root.insertBefore(shelf.section, this.root.children[i] ?? null);
      const change = this.fill(shelf, s, first);
      if (change && !first) changes.push(change);
    });
    if (visible.length === 0) {
      this.root.replaceChildren(make('p', { className: 'empty', textContent: 'Nothing here yet. As soon as this listener plays something, shelves appear.' }));
    } else {
      this.root.querySelector('.empty')?.remove();
    }
    this.root.setAttribute('aria-busy', 'false');
    if (focus !== document.activeElement && this.root.contains(focus)) focus.focus({ preventScroll: true });
    return changes;
  }

  newShelf(name) {
    const id = `shelf-${name}`;
    const title = make('h2', { id });
    const badge = make('span', { className: 'badge' });
    const list = set(make('ul', { className: 'cards' }), { 'aria-labelledby': id, 'data-shelf': name });
    const turn = (label, way, glyph) =>
      set(make('button', { type: 'button', tabIndex: -1, onclick: () => list.scrollBy({ left: way * list.clientWidth * 0.8, behavior: calm() ? 'auto' : 'smooth' }) }, icon(glyph)), { 'aria-label': label });
    const turns = set(make('div', { className: 'turn' }, turn('Back', -1, 'left'), turn('Further', 1, 'right')), { 'aria-hidden': 'true' });
    const section = set(make('section', { className: 'shelf' }, make('header', {}, title, badge, turns), list), { 'aria-labelledby': id });
    return { section, title, badge, list, cards: new Map(), status: '', asOf: 0 };
  }

  // fill brings a shelf up to date; null when nothing that a reader can see or that the log tells has changed.
  fill(shelf, s, first) {
    const asOf = s.asOf ? Date.parse(s.asOf) : 0;
    const before = [...shelf.cards.keys()].join(' ');
    const after = s.cards.map((c) => c.uri).join(' ');
    const same = before === after;
    const refreshed = asOf !== shelf.asOf;
    shelf.title.textContent = s.title;
    shelf.status = s.status;
    shelf.asOf = asOf;
    this.badge(shelf);
    const change = { name: s.name, title: s.title, asOf, added: 0, moved: 0, gone: 0 };
    if (same) {
      s.cards.forEach((c) => this.fillCard(shelf.cards.get(c.uri), c));
      return refreshed ? change : null;
    }
    const places = new Map();
    if (!first) for (const [uri, card] of shelf.cards) places.set(uri, card.item.getBoundingClientRect());
    const scrolled = shelf.list.scrollLeft;
    this.arrange(shelf, s, change);
    shelf.list.scrollLeft = scrolled; // browsers would keep the older cards in place and the new one out of sight
    if (!first) {
      this.move(shelf, places, before === '');
      shelf.section.classList.add('changed');
      setTimeout(() => shelf.section.classList.remove('changed'), shown);
    }
    return change;
  }

  arrange(shelf, s, change) {
    const wanted = new Set(s.cards.map((c) => c.uri));
    for (const [uri, card] of shelf.cards) {
      if (wanted.has(uri)) continue;
      card.item.remove();
      change.gone++;
    }
    const old = [...shelf.cards.keys()].filter((uri) => wanted.has(uri));
    const kept = s.cards.map((c) => c.uri).filter((uri) => shelf.cards.has(uri));
    const cards = new Map();
    s.cards.forEach((c, i) => {
      let card = shelf.cards.get(c.uri);
      if (!card) {
        card = this.newCard(c);
        change.added++;
      } else if (old.indexOf(c.uri) > kept.indexOf(c.uri)) {
        card.rose = true;
        change.moved++;
      }
      this.fillCard(card, c);
      cards.set(c.uri, card);
      if (shelf.list.children[i] !== card.item) shelf.list.insertBefore(card.item, shelf.list.children[i] ?? null);
    });
    shelf.cards = cards;
    const items = [...cards.values()];
    if (!items.some((c) => c.play.tabIndex === 0)) this.enter(items[0]);
  }

  // move lets cards travel from where they were, and marks those that are new or have risen.
  move(shelf, places, whole) {
    for (const [uri, card] of shelf.cards) {
      const was = places.get(uri);
      const is = card.item.getBoundingClientRect();
      const kind = was ? (card.rose ? 'moved' : '') : 'new';
      card.rose = false;
      if (kind && !whole) {
        card.item.classList.add(kind);
        clearTimeout(card.timer);
        card.timer = setTimeout(() => card.item.classList.remove('new', 'moved'), shown);
      }
      if (calm()) continue;
      const easing = 'cubic-bezier(.2, .8, .2, 1)';
      if (was && was.left !== is.left) {
        card.item.animate([{ transform: `translateX(${was.left - is.left}px)` }, { transform: 'none' }], { duration: 650, easing });
      } else if (!was) {
        card.item.animate([{ opacity: 0, transform: 'scale(.6)' }, { opacity: 1, transform: 'none' }], { duration: 700, easing });
      }
    }
  }

  newCard(c) {
    const [kind] = c.uri.split(':');
    const img = set(make('img', { loading: 'lazy', decoding: 'async', draggable: false }), { width: size, height: size });
    const cover = make('span', { className: 'cover' }, img, make('span', { className: 'go' }, icon(kind === 'artist' ? 'follow' : 'play', kind === 'artist')), make('span', { className: 'mark-new', textContent: 'New' }));
    const title = make('span', { className: 'title' });
    const subtitle = make('span', { className: 'subtitle' });
    const why = make('span', { className: 'why' });
    const play = make('button', { type: 'button', className: 'play', tabIndex: -1 }, cover, title, subtitle, why);
    const act = (name, glyph, does) => set(make('button', { type: 'button', className: 'act', tabIndex: -1, onclick: () => does(card.data) }, icon(glyph)), { 'data-act': name, 'aria-pressed': 'false' });
    const heart = kind === 'track' ? act('heart', 'heart', (d) => this.on.heart(d)) : null;
    const follow = act('follow', 'follow', (d) => this.on.follow(d));
    const item = set(make('li', { className: 'card' }, play, make('span', { className: 'acts' }, heart, follow)), { 'data-uri': c.uri, 'data-kind': kind });
    const card = { item, img, cover, title, subtitle, why, play, heart, follow, data: c, rose: false };
    play.addEventListener('click', () => (kind === 'artist' ? this.on.follow(card.data) : this.on.play(card.data)));
    item.addEventListener('focusin', () => this.enter(card));
    return card;
  }

  fillCard(card, c) {
    card.data = c;
    card.title.textContent = c.title;
    card.subtitle.textContent = c.subtitle;
    card.why.textContent = c.reason;
    card.why.title = c.reason;
    card.img.alt = c.image?.alt ?? '';
    paint(card.cover, card.img, c.image, size);
    const whole = [c.title, c.subtitle && `by ${c.subtitle}`].filter(Boolean).join(' ');
    const verb = card.item.dataset.kind === 'artist' ? 'Follow' : 'Play';
    set(card.play, { 'aria-label': `${verb} ${whole}${c.reason ? `. ${c.reason}` : ''}` });
    if (card.heart) set(card.heart, { 'aria-label': `Heart ${whole}`, title: 'Heart', 'aria-pressed': this.done.has(`heart ${c.uri}`) });
    const artist = card.item.dataset.kind === 'artist' ? c.title : c.subtitle || 'the artist';
    set(card.follow, { 'aria-label': `Follow ${artist}`, title: `Follow ${artist}`, 'aria-pressed': this.done.has(`follow ${artist}`) });
  }

  // mark remembers what was done, on every card that shows it; unmark takes it back.
  mark(what) {
    this.done.add(what);
    this.refill();
  }

  unmark(what) {
    this.done.delete(what);
    this.refill();
  }

  refill() {
    for (const shelf of this.shelves.values()) for (const card of shelf.cards.values()) this.fillCard(card, card.data);
  }

  playing(uri) {
    for (const item of this.root.querySelectorAll('.card')) item.classList.toggle('playing', item.dataset.uri === uri);
  }

  // tick brings the badges' ages up to date.
  tick() {
    for (const shelf of this.shelves.values()) this.badge(shelf);
  }

  badge(shelf) {
    const age = shelf.asOf ? ago(Date.now() - shelf.asOf) : '';
    const texts = { FRESH: `Fresh · ${age}`, LAST_GOOD: `Last good · ${age}`, DEFAULT: 'Editors’ choice' };
    const titles = { FRESH: 'As young as the shelf promises', LAST_GOOD: 'The newest row there is; older than promised', DEFAULT: 'The editors’ default cards' };
    const text = texts[shelf.status] ?? '';
    if (shelf.badge.textContent !== text) shelf.badge.textContent = text;
    shelf.badge.dataset.status = shelf.status;
    shelf.badge.title = titles[shelf.status] ?? '';
  }

  // enter makes the card the one of its shelf that the Tab key stops at.
  enter(card) {
    for (const other of card.item.parentElement?.children ?? []) for (const b of other.querySelectorAll('button')) b.tabIndex = -1;
    for (const b of card.item.querySelectorAll('button')) b.tabIndex = 0;
  }

  key(e) {
    const item = e.target.closest('.card');
    if (!item || e.ctrlKey || e.metaKey || e.altKey) return;
    const shelf = item.closest('.shelf');
    const to = {
      ArrowRight: () => item.nextElementSibling, ArrowLeft: () => item.previousElementSibling,
      Home: () => item.parentElement.firstElementChild, End: () => item.parentElement.lastElementChild,
      ArrowDown: () => shelf.nextElementSibling?.querySelector('.card:has([tabindex="0"])'),
      ArrowUp: () => shelf.previousElementSibling?.querySelector('.card:has([tabindex="0"])'),
    }[e.key];
    const act = { h: 'heart', f: 'follow' }[e.key.toLowerCase()];
    if (to) {
      e.preventDefault();
      const next = to()?.querySelector('.play');
      next?.focus();
      next?.scrollIntoView({ block: 'nearest', inline: 'nearest', behavior: calm() ? 'auto' : 'smooth' });
    } else if (act) {
      item.querySelector(`[data-act="${act}"]`)?.click();
    }
  }
}
