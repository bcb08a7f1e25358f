// A dialog that is made for one question and gone after it. The browser's own <dialog> keeps the focus and Escape; the
// focus begins where something is to be written, else on the button that goes on.

import { make, set } from '../look/dom.js';

let ids = 0;

// ask shows the dialog and gives the value of the button that ended it, '' for Escape. buttons are
// { value, text, kind, disabled }. act, if there is one, may do the work of a button while the dialog is open: it
// returns a text that says why it failed, or nothing.
export function ask(title, content, buttons, { act, wide = false } = {}) {
  const id = `d${++ids}`;
  const trouble = set(make('p', { className: 'trouble', hidden: true }), { role: 'alert' });
  const row = buttons.map((b) => make('button', { type: 'button', value: b.value, className: b.kind ?? '', disabled: b.disabled ?? false, textContent: b.text }));
  const dialog = set(make('dialog', { className: wide ? 'wide' : '' }, make('h2', { id, textContent: title }), make('div', { className: 'content' }, ...content), trouble,
    make('footer', {}, ...row)), { 'aria-labelledby': id });
  document.body.append(dialog);
  return new Promise((resolve) => {
    const end = (value) => {
      dialog.close();
      resolve(value);
    };
    for (const b of row) {
      b.addEventListener('click', async () => {
        row.forEach((other) => { other.disabled = true; });
        const failed = act ? await act(b.value) : '';
        if (!failed) return end(b.value);
        trouble.textContent = failed;
        trouble.hidden = false;
        row.forEach((other, i) => { other.disabled = buttons[i].disabled ?? false; });
      });
    }
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve('');
    });
    dialog.end = end;
    const main = () => row.findLast((b) => !b.disabled);
    dialog.addEventListener('keydown', (e) => { // as in any form
      if (e.key === 'Enter' && e.target.matches('input[type="text"]')) main()?.click();
    });
    dialog.showModal();
    (dialog.querySelector('input[type="text"]') ?? main() ?? dialog).focus();
  });
}
