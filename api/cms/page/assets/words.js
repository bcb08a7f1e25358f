// How things are called for people.

import { make } from '../look/dom.js';

let declared = new Map();

export function declare(shelves) {
  declared = new Map(shelves.map((s) => [s.name, s]));
}

export const shelvesDeclared = () => [...declared.values()];
export const shelfOf = (name) => declared.get(name);

const inWords = (name) => name[0].toUpperCase() + name.slice(1).replaceAll('_', ' ');

// shelfName is a shelf's title without anything to fill in, or its name in words.
export function shelfName(name) {
  const title = declared.get(name)?.title ?? '';
  return title && !title.includes('{') ? title : inWords(name);
}

export const fieldNames = {
  shelf: 'Shelf', title: 'Title', titles: 'Titles by locale', plainTitle: 'Plain title', plainTitles: 'Plain titles by locale',
  component: 'Drawn as', markets: 'Markets', platforms: 'Platforms', audiencePercent: 'Share of listeners', from: 'From', to: 'Until',
  minCards: 'Fewest cards', maxCards: 'Most cards', maxAgeSeconds: 'Oldest row', repeat: 'Repeating cards', pins: 'Pins', blocks: 'Blocks',
  defaultCards: 'Default cards', order: 'Order',
};

export const moment = (time) => new Date(time).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });

// when is a moment that says when exactly on asking.
export function when(time) {
  return make('time', { dateTime: time, textContent: moment(time), title: time });
}

// value is a field's value in words.
export function value(field, v) {
  if (v === undefined || v === null || v === '' || (Array.isArray(v) && v.length === 0)) return '—';
  if (field === 'from' || field === 'to') return moment(v);
  if (field === 'maxAgeSeconds') return `${v} seconds`;
  if (field === 'audiencePercent') return `${v}%`;
  if (field === 'order' || field === '') return Array.isArray(v) ? v.map((s) => (typeof s === 'string' ? shelfName(s) : shelfName(s.shelf))).join(' → ') : typeof v === 'object' ? 'On Home' : String(v);
  if (Array.isArray(v)) return v.map((x) => (typeof x === 'object' ? x.title || x.uri : x)).join(', ');
  if (typeof v === 'object') return Object.entries(v).map(([k, x]) => `${k}: ${x}`).join(', ');
  return String(v);
}

// changePath is the placement and the field of a change's path: "shelves[discover].titles.sv".
export function changePath(path) {
  const [, shelf = '', field = '', more = ''] = path.match(/^shelves(?:\[([^\]]+)\](?:\.(\w+)(?:\.(.+))?)?)?$/) ?? [];
  if (path === 'title') return { where: 'The draft', field: 'title', what: 'Title' };
  if (!shelf) return { where: 'Home', field: 'order', what: 'Order' };
  return { where: shelfName(shelf), field, what: field ? fieldNames[field] + (more ? ` (${more})` : '') : 'Placement' };
}

const parsed = (json) => (json ? JSON.parse(json) : undefined);

// changesTable shows what differs.
export function changesTable(changes, from = 'Before', to = 'After') {
  if (!changes?.length) return make('p', { className: 'hint', textContent: 'Nothing differs.' });
  const head = make('thead', {}, make('tr', {}, ...['Where', 'What', from, to].map((t) => make('th', { scope: 'col', textContent: t }))));
  const rows = changes.map((c) => {
    const { where, field, what } = changePath(c.path);
    const cells = [c.from, c.to].map((json) => value(field, parsed(json)));
    const kind = !c.from ? 'added' : !c.to ? 'removed' : 'changed';
    return make('tr', { className: kind }, make('th', { scope: 'row', textContent: where }), make('td', { textContent: what }),
      make('td', {}, make('del', { textContent: cells[0] })), make('td', {}, make('ins', { textContent: cells[1] })));
  });
  return make('div', { className: 'table' }, make('table', { className: 'changes' }, head, make('tbody', {}, ...rows)));
}
