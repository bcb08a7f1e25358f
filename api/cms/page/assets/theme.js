// What a page has that is only text: the button for its colours.

import { themeButton } from '../look/theme.js';

const say = (text) => { document.getElementById('say').textContent = text; };
themeButton(document.getElementById('theme'), say);
