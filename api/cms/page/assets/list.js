// The placements in their order. A placement is moved by its handle: dragged, or with the arrow keys.

import { icon, make, set } from '../look/dom.js';
import { moment, shelfName } from './words.js';

export class List {
  // on: choose(index), move(from, to), say(text).
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.editable = true;
  }

  // show draws the placements; findings are told by the placement's index.
  show(placements, chosen, findings, editable) {
    this.editable = editable;
    this.placements = placements;
    const focused = this.root.contains(document.activeElement) ? document.activeElement.dataset.act : '';
    this.root.replaceChildren(...placements.map((p, i) => this.item(p, i, placements.length, i === chosen, findings.filter((f) => f.index === i))));
    if (focused) this.root.children[chosen]?.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  item(p, i, count, chosen, findings) {
    const name = shelfName(p.shelf);
    const handle = set(make('button', { type: 'button', className: 'handle', disabled: !this.editable }, icon('grip')), {
      'aria-label': `Move ${name}, place ${i + 1} of ${count}`, 'data-act': 'move', title: 'Drag, or press the arrow keys',
    });
    handle.addEventListener('keydown', (e) => {
      const to = { ArrowUp: i - 1, ArrowDown: i + 1, Home: 0, End: count - 1 }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      this.move(i, to);
    });
    handle.addEventListener('pointerdown', (e) => this.drag(e, i));
    const errors = findings.some((f) => f.severity === 'ERROR');
    const marks = [
      ...tags(p).map((t) => make('span', { className: 'tag', textContent: t })),
      findings.length > 0 ? make('span', { className: errors ? 'tag error' : 'tag warning', textContent: errors ? 'To mend' : 'To look at' }) : null,
    ].filter(Boolean);
    const choose = set(make('button', { type: 'button', className: 'pick' },
      make('b', { textContent: p.title || name }), make('span', { className: 'by', textContent: p.title ? name : '' }),
      marks.length > 0 ? make('span', { className: 'tags' }, ...marks) : null), { 'data-act': 'choose', 'aria-current': String(chosen) });
    choose.addEventListener('click', () => this.on.choose(i));
    return set(make('li', { className: chosen ? 'placed chosen' : 'placed' }, handle, choose), { 'data-shelf': p.shelf });
  }

  move(from, to) {
    const count = this.placements.length;
    to = Math.max(0, Math.min(count - 1, to));
    const name = shelfName(this.placements[from].shelf);
    if (to === from) return this.on.say(`${name} is at the ${from === 0 ? 'top' : 'bottom'} already`);
    this.on.move(from, to);
    this.on.say(`${name} moved to place ${to + 1} of ${count}`);
  }

  // drag follows the pointer; the list is only changed when it is let go. Escape leaves everything as it was.
  drag(start, from) {
    if (!this.editable || start.button !== 0) return;
    start.preventDefault();
    const handle = start.currentTarget;
    const items = [...this.root.children];
    const boxes = items.map((li) => li.getBoundingClientRect());
    let to = from;
    handle.focus();
    handle.setPointerCapture(start.pointerId);
    items[from].classList.add('dragged');
    const moved = (e) => {
      const y = boxes[from].top + boxes[from].height / 2 + e.clientY - start.clientY;
      to = boxes.filter((b, i) => i !== from && b.top + b.height / 2 < y).length;
      const gap = boxes[from].height + 6;
      items.forEach((li, i) => {
        const shift = i === from ? e.clientY - start.clientY : i > from && i <= to ? -gap : i < from && i >= to ? gap : 0;
        li.style.transform = shift ? `translateY(${shift}px)` : '';
      });
    };
    const end = (e) => {
      handle.removeEventListener('pointermove', moved);
      handle.removeEventListener('pointerup', end);
      handle.removeEventListener('pointercancel', end);
      document.removeEventListener('keydown', escape);
      for (const li of items) li.style.transform = '';
      items[from].classList.remove('dragged');
      if (e?.type === 'pointerup' && to !== from) this.move(from, to);
    };
    const escape = (e) => e.key === 'Escape' && end();
    handle.addEventListener('pointermove', moved);
    handle.addEventListener('pointerup', end);
    handle.addEventListener('pointercancel', end);
    document.addEventListener('keydown', escape);
  }
}

// tags are what limits a placement, in a word or two each.
export function tags(p) {
  const now = Date.now();
  const all = [];
  if (p.to && Date.parse(p.to) <= now) all.push('Over');
  else if (p.from && Date.parse(p.from) > now) all.push(`From ${moment(p.from)}`);
  else if (p.to) all.push(`Until ${moment(p.to)}`);
  if (p.markets?.length) all.push(p.markets.join(' '));
  if (p.platforms?.length) all.push(p.platforms.join(' '));
  if (p.audiencePercent) all.push(`${p.audiencePercent}%`);
  if (p.pins?.length) all.push(p.pins.length === 1 ? '1 pin' : `${p.pins.length} pins`);
  return all;
}
