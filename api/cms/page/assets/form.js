// The form of one placement. Every field has its label, its hint and a place for what is wrong with it.

import { icon, make, set } from '../look/dom.js';
import { shelfName, shelfOf } from './words.js';

let ids = 0;

// field is a labelled control with its hint and its problems. name is the field's in a document.
function field(name, label, control, hint) {
  const id = `f${++ids}`;
  control.id = id;
  control.name = name;
  const problems = make('ul', { className: 'problems', id: `${id}-problems` });
  const about = hint ? make('small', { id: `${id}-hint`, textContent: hint }) : null;
  set(control, { 'aria-describedby': [about?.id, problems.id].filter(Boolean).join(' ') });
  return set(make('div', { className: 'field' }, make('label', { htmlFor: id, textContent: label }), control, about, problems), { 'data-field': name });
}

const input = (type, value, more = {}) => make('input', { type, value: value ?? '', autocomplete: 'off', ...more });
const words = (text) => text.split(/[\s,]+/).filter(Boolean);
const number = (text) => (text.trim() === '' ? undefined : Number(text));

// local is a moment as an input of this browser's time zone has it.
function local(time) {
  if (!time) return '';
  const d = new Date(time);
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const hours = 3600;

export class Form {
  // on: change(placement), remove(), say(text).
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.root.addEventListener('submit', (e) => e.preventDefault());
  }

  show(placement, editable) {
    this.placement = placement;
    if (!placement) {
      this.root.replaceChildren(make('p', { className: 'hint', textContent: 'Choose a shelf to change how it stands on Home.' }));
      return;
    }
    const p = placement;
    const declared = shelfOf(p.shelf);
    const text = (name, label, hint, more) => this.bind(field(name, label, input('text', p[name], more), hint), (v) => v.trim() || undefined);
    const count = (name, label, hint, most) => this.bind(field(name, label, input('number', p[name], { min: 0, max: most, inputMode: 'numeric' }), hint), number);
    const time = (name, label) => this.bind(field(name, label, input('datetime-local', local(p[name]))), (v) => (v ? new Date(v).toISOString().replace('.000Z', 'Z') : undefined));
    const list = (name, label, hint, upper) => this.bind(field(name, label, input('text', (p[name] ?? []).join(', ')), hint), (v) => words(upper ? v.toUpperCase() : v));
    const choice = (name, label, hint, options) => this.bind(field(name, label,
      make('select', {}, ...options.map(([v, t]) => make('option', { value: v, textContent: t, selected: (p[name] ?? '') === v }))), hint), (v) => v || undefined);
    const group = (name, ...fields) => make('fieldset', { disabled: !editable }, make('legend', { textContent: name }), ...fields);

    const remove = make('button', { type: 'button', className: 'danger', disabled: !editable, textContent: 'Take off Home' });
    remove.addEventListener('click', () => this.on.remove());
    const age = this.bind(field('maxAgeSeconds', 'Oldest row, in hours', input('number', p.maxAgeSeconds ? Number(p.maxAgeSeconds) / hours : '', { min: 0, step: 'any' }),
      'Older rows are not shown. Empty: any age.'), (v) => (v.trim() === '' ? undefined : String(Math.round(Number(v) * hours))));
    this.root.replaceChildren(
      make('header', {}, make('h2', { textContent: shelfName(p.shelf) }), remove),
      make('p', { className: 'hint', textContent: declared?.doc ?? 'This shelf is not declared any more.' }),
      group('Titles',
        text('title', 'Title', `{artist} and the like are filled in from the row. Empty: ${declared?.title ? `“${declared.title}”` : 'its name'}.`, { placeholder: declared?.title ?? '' }),
        text('plainTitle', 'Plain title', 'Shown when there is nothing to fill in, and above default cards.'),
        this.locales(p)),
      group('When', make('div', { className: 'pair' }, time('from', 'From'), time('to', 'Until')),
        make('small', { textContent: `In your time zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}. Empty: no limit.` })),
      group('For whom', make('div', { className: 'pair' }, list('markets', 'Markets', 'Such as SE, NO. Empty: everywhere.', true), list('platforms', 'Platforms', 'Such as ios. Empty: all.')),
        count('audiencePercent', 'Share of listeners, in %', 'Always the same ones. Empty: everybody.', 100)),
      group('Cards', make('div', { className: 'pair' }, count('minCards', 'Fewest cards', 'With fewer it is left out.', declared?.maxCards), count('maxCards', 'Most cards', 'Empty: all.', 100)),
        make('div', { className: 'pair' },
          choice('component', 'Drawn as', '', [['', 'Carousel (as usual)'], ['carousel', 'Carousel'], ['grid', 'Grid'], ['list', 'List'], ['hero', 'Hero']]),
          choice('repeat', 'Cards of shelves above', '', [['', 'As the shelf says'], ['allowed', 'May repeat'], ['never', 'Never repeat']])),
        age),
      group('Pins and blocks', this.cards('pins', 'Pins', 'Cards that come first. The preview pins cards, too.'), this.blocks(p),
        this.cards('defaultCards', 'Default cards', 'Shown to listeners who have no row yet. Empty: the shelf is left out for them.')));
  }

  // bind changes the placement whenever the field's control does.
  bind(f, read) {
    const control = f.querySelector('input, select, textarea');
    const name = control.name;
    control.addEventListener(control.tagName === 'SELECT' ? 'change' : 'input', () => this.set(name, read(control.value)));
    return f;
  }

  set(name, value) {
    const next = { ...this.placement, [name]: value };
    if (value === undefined || (Array.isArray(value) && value.length === 0)) delete next[name];
    this.placement = next;
    this.on.change(next);
  }

  // locales is a line a locale, with both of its titles.
  locales(p) {
    const body = make('div', { className: 'lines' });
    const lines = [...new Set([...Object.keys(p.titles ?? {}), ...Object.keys(p.plainTitles ?? {})])].sort().map((l) => [l, p.titles?.[l] ?? '', p.plainTitles?.[l] ?? '']);
    const changed = () => {
      const pairs = (i) => Object.fromEntries(lines.filter((l) => l[0] && l[i]).map((l) => [l[0], l[i]]));
      const next = { ...this.placement, titles: pairs(1), plainTitles: pairs(2) };
      for (const n of ['titles', 'plainTitles']) if (Object.keys(next[n]).length === 0) delete next[n];
      this.placement = next;
      this.on.change(next);
    };
    const line = (l) => {
      const control = (i, label, more) => {
        const c = set(input('text', l[i], more), { 'aria-label': l[0] ? `${label} in ${l[0]}` : label });
        c.addEventListener('input', () => { l[i] = c.value.trim(); changed(); });
        return c;
      };
      return row([control(0, 'Locale', { placeholder: 'sv', className: 'short' }), control(1, 'Title', { placeholder: 'Title' }), control(2, 'Plain title', { placeholder: 'Plain title' })],
        `Remove ${l[0] || 'the locale'}`, () => { lines.splice(lines.indexOf(l), 1); changed(); });
    };
    body.append(...lines.map(line));
    return this.group('titles plainTitles', 'By locale', 'Such as sv or pt-BR. A listener’s sv-SE takes sv.', body, 'Add a locale', () => {
      const l = ['', '', ''];
      lines.push(l);
      return line(l);
    });
  }

  // cards is a line a card. What a card has besides what is shown here, such as its cover, is kept.
  cards(name, label, hint) {
    const body = make('div', { className: 'lines' });
    const cards = (this.placement[name] ?? []).map((c) => ({ ...c }));
    const changed = () => this.set(name, cards.filter((c) => c.uri || c.title));
    const line = (card) => {
      const control = (key, what, placeholder) => {
        const c = set(input('text', card[key], { placeholder }), { 'aria-label': card.title ? `${what} of ${card.title}` : what });
        c.addEventListener('input', () => { card[key] = c.value.trim(); if (!card[key]) delete card[key]; changed(); });
        return c;
      };
      return row([control('uri', 'Address', 'track:…'), control('title', 'Title', 'Title'), control('subtitle', 'Subtitle', 'Subtitle')],
        `Remove ${card.title || 'the card'}`, () => { cards.splice(cards.indexOf(card), 1); changed(); });
    };
    body.append(...cards.map(line));
    return this.group(name, label, hint, body, 'Add a card', () => {
      const card = {};
      cards.push(card);
      return line(card);
    });
  }

  blocks(p) {
    return this.bind(field('blocks', 'Blocks', make('textarea', { rows: Math.min(6, Math.max(2, (p.blocks ?? []).length)), value: (p.blocks ?? []).join('\n'), spellcheck: false }),
      'Tracks and artists that this shelf never shows, one a line: track:… or artist:…'), words);
  }

  // group is lines with a button that adds one.
  group(names, label, hint, body, adding, add) {
    const id = `f${++ids}`;
    const button = make('button', { type: 'button', className: 'quiet' }, icon('plus'), adding);
    button.addEventListener('click', () => {
      const line = add();
      body.append(line);
      line.querySelector('input').focus();
    });
    const problems = make('ul', { className: 'problems', id: `${id}-problems` });
    return set(make('div', { className: 'field many' }, make('span', { className: 'label', id, textContent: label }), make('small', { id: `${id}-hint`, textContent: hint }), body, button, problems),
      { role: 'group', 'aria-labelledby': id, 'aria-describedby': `${id}-hint ${problems.id}`, 'data-field': names });
  }

  // problems shows at the fields what is wrong: [{ field: "minCards", severity, message }]. It returns what has no field
  // here.
  problems(found) {
    const rest = [];
    for (const ul of this.root.querySelectorAll('.problems')) ul.replaceChildren();
    for (const c of this.root.querySelectorAll('[aria-invalid]')) c.removeAttribute('aria-invalid');
    for (const f of found) {
      const base = f.field.match(/^\w*/)[0] || 'title';
      const at = [...this.root.querySelectorAll('[data-field]')].find((e) => e.dataset.field.split(' ').includes(base));
      if (!at) {
        rest.push(f);
        continue;
      }
      at.querySelector('.problems').append(make('li', { className: f.severity === 'ERROR' ? 'error' : 'warning', textContent: sentence(f.message) }));
      if (f.severity === 'ERROR') at.querySelector('input, select, textarea')?.setAttribute('aria-invalid', 'true');
    }
    return rest;
  }

  focus(name) {
    const base = name.match(/^\w*/)[0];
    const at = [...this.root.querySelectorAll('[data-field]')].find((e) => e.dataset.field.split(' ').includes(base));
    const control = at?.querySelector('input, select, textarea, button') ?? this.root.querySelector('input');
    control?.scrollIntoView({ block: 'center' });
    control?.focus();
  }
}

function row(controls, label, remove) {
  const button = set(make('button', { type: 'button', className: 'round small' }, icon('x')), { 'aria-label': label, title: label });
  const line = make('div', { className: 'line' }, ...controls, button);
  button.addEventListener('click', () => {
    const next = line.nextElementSibling ?? line.previousElementSibling;
    const adder = line.closest('.field').querySelector('button.quiet');
    line.remove();
    remove();
    (next?.querySelector('input') ?? adder).focus();
  });
  return line;
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);
