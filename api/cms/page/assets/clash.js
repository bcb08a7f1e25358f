// Two editors have changed one draft: what each changed, both sides of what both changed, and the editor's choice.

import { make, set } from '../look/dom.js';
import { ask } from './dialog.js';
import { same, takeTheirs } from './merge.js';
import { fieldNames, moment, shelfName, value } from './words.js';

// resolve settles the draft's clash; false when the editor puts it off.
export async function resolve(draft) {
  const { theirs, mine, document: merged, clashes } = draft.clash;
  const who = theirs.updater || 'Somebody else';
  const content = [make('p', { textContent: clashes.length > 0
    ? `${who} saved this draft at ${moment(theirs.updateTime)}, after you opened it. Nothing of yours or theirs is lost. What only one of you changed is put together; choose for what you both changed:`
    : `${who} saved this draft at ${moment(theirs.updateTime)}, after you opened it. You changed different things, so both fit together.` })];
  if (clashes.length > 0) content.push(make('div', { className: 'clashes' }, ...clashes.map(side)));
  const answer = await ask('Somebody else changed this draft', content, [
    { value: '', text: 'Not now' },
    { value: 'theirs', text: `Take all of ${who}’s` },
    { value: 'merge', text: clashes.length > 0 ? 'Save what is chosen' : 'Save both', kind: 'primary' },
  ], { wide: true });
  if (answer === 'theirs') return draft.settle(theirs.document, theirs.title);
  if (answer !== 'merge') return false;
  let chosen = merged;
  for (const [i, c] of clashes.entries()) {
    if (choices.get(`clash-${i}`) === 'theirs') chosen = takeTheirs(chosen, c);
  }
  choices.clear();
  return draft.settle(chosen, same(mine.title, draft.saved.title) ? theirs.title : mine.title);
}

const choices = new Map(); // of the open dialog

function side(clash, i) {
  const name = `clash-${i}`;
  choices.set(name, 'mine');
  const where = clash.shelf ? shelfName(clash.shelf) : 'Home';
  const option = (key, label) => {
    const input = make('input', { type: 'radio', name, value: key, checked: key === 'mine' });
    input.addEventListener('change', () => choices.set(name, key));
    return make('label', { className: 'option' }, input, make('b', { textContent: label }), make('span', { textContent: shown(clash, clash[key]) }));
  };
  return set(make('fieldset', {}, make('legend', { textContent: `${where}: ${fieldNames[clash.field] ?? 'the whole placement'}` }),
    option('mine', 'Yours'), option('theirs', 'Theirs'), make('small', { textContent: `Before: ${shown(clash, clash.base)}` })), { 'data-clash': clash.field });
}

const shown = (clash, v) => (clash.field === '' ? (v ? 'On Home' : 'Taken off Home') : value(clash.field, v));
