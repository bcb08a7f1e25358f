// The button that goes round: colours as the system, dark, light. What was chosen is remembered.

export function themeButton(button, say) {
  const root = document.documentElement;
  try {
    const kept = localStorage.getItem('theme');
    if (kept) root.dataset.theme = kept;
  } catch { /* as the system, then */ }
  button.addEventListener('click', () => {
    const next = { undefined: 'dark', dark: 'light', light: undefined }[root.dataset.theme];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    const label = `Colours: ${next ?? 'as the system'}`;
    button.setAttribute('aria-label', label);
    say(label);
    try {
      localStorage.setItem('theme', next ?? '');
    } catch { /* not remembered, then */ }
  });
}
