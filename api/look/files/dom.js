// Small helpers for making elements. Nothing here or elsewhere parses HTML.

// make is an element with properties; attributes with a dash or unknown as properties go through set.
export function make(name, properties = {}, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children.filter((c) => c !== null));
  return e;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// icon refers to a symbol of page.html.
export function icon(name, line = true) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  if (line) svg.setAttribute('class', 'line');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}

// imageAddress fills the template in; sharp screens get twice the size.
export function imageAddress(image, size) {
  const pixels = size * Math.min(2, Math.ceil(window.devicePixelRatio || 1));
  return image?.template ? image.template.replaceAll('{size}', String(pixels)) : '';
}

// paint sets a cover's colours, and its image which fades in once it is there.
export function paint(cover, img, image, size) {
  const [ground, second] = image?.colors ?? [];
  cover.style.setProperty('--c1', ground ?? '');
  cover.style.setProperty('--c2', second ?? ground ?? '');
  const address = imageAddress(image, size);
  if (img.getAttribute('src') === address) return;
  img.classList.remove('ready');
  if (!address) return img.removeAttribute('src');
  img.onload = () => img.classList.add('ready');
  img.src = address;
}

export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// ago is a duration in words: "now", "12 s", "3 min", "2 h", "5 d".
export function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 2) return 'now';
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}
