// The page: who listens, the loop that keeps Home current, and what taps do.

import { artistOf, fetchHome, fetchListeners, send } from './client.js';
import { make, paint } from '../look/dom.js';
import { themeButton } from '../look/theme.js';
import { Home } from './home.js';
import { Log } from './log.js';
import { Way } from './way.js';

const $ = (id) => document.getElementById(id);
const period = 1000; // ms between two looks at Home
const eager = 300; // the same while something that was sent is not to be seen yet

const log = new Log($('log'));
const home = new Home($('shelves'), { play, heart, follow });
let listeners = [];
let user = '';
let watch = new AbortController(); // of the loop for the listener who is shown
let wake = () => {};
let nowPlaying = null;

function say(text) {
  $('say').textContent = text;
}

// look shows Home of the listener again and again.
async function look(signal) {
  let seen = '';
  while (!signal.aborted) {
    if (!document.hidden) {
      try {
        const text = await fetchHome(user, signal);
        if (signal.aborted) return;
        if (text !== seen) update(JSON.parse(text));
        seen = text;
        $('trouble').hidden = true;
      } catch (e) {
        if (signal.aborted) return;
        $('trouble').textContent = `${e.message} What you see may be old; trying again.`;
        $('trouble').hidden = false;
      }
      home.tick();
      clock();
    }
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, log.isWaiting() ? eager : period);
    });
  }
}

function update(data) {
  const changed = log.changed(home.update(data));
  if (changed.length > 0) say(`Home changed: ${changed.join(', ')}`);
  if (nowPlaying) home.playing(nowPlaying.uri);
  const out = data.shelves.filter((s) => s.cards.length === 0).map((s) => s.title);
  $('leftout').hidden = out.length === 0;
  $('leftout').textContent = `Left out, with nothing to show yet: ${out.join(', ')}`;
  const colors = data.shelves.find((s) => s.cards.length > 0)?.cards[0].image?.colors;
  const tint = colors?.[1] ?? colors?.[0];
  if (tint) $('scroll').style.setProperty('--tint', tint);
}

// act sends one event and logs how it went.
async function act(text, kind, card, action) {
  const entry = log.add(text, kind, card);
  $('log-hint').hidden = true;
  say(text);
  try {
    const { time } = await send(user, { [kind]: await action() });
    entry.accepted(time);
    wake();
    return true;
  } catch (e) {
    entry.failed(e.message);
    say(e.message);
    return false;
  }
}

const idOf = (card) => card.uri.slice(card.uri.indexOf(':') + 1);
const isArtist = (card) => card.uri.startsWith('artist:');

function play(card) {
  nowPlaying = card;
  home.playing(card.uri);
  showPlayer();
  return act(`Played ${card.title}`, 'songPlayed', card, () => ({ track: idOf(card) }));
}

async function heart(card) {
  const what = `heart ${card.uri}`;
  if (home.done.has(what)) return say(`${card.title} is hearted already`);
  home.mark(what);
  if (!(await act(`Hearted ${card.title}`, 'songHearted', card, () => ({ track: idOf(card) })))) home.unmark(what);
  showPlayer();
}

async function follow(card) {
  const name = isArtist(card) ? card.title : card.subtitle || 'the artist';
  const what = `follow ${name}`;
  if (home.done.has(what)) return say(`You follow ${name} already`);
  home.mark(what);
  const followed = await act(`Followed ${name}`, 'artistFollowed', card, async () => {
    const artist = isArtist(card) ? idOf(card) : await artistOf(idOf(card));
    if (!artist) throw new Error('The artist of this track is not known.');
    return { artist };
  });
  if (!followed) home.unmark(what);
  showPlayer();
}

function showPlayer() {
  $('player').hidden = !nowPlaying;
  document.body.classList.toggle('has-player', Boolean(nowPlaying));
  if (!nowPlaying) return;
  $('player-title').textContent = nowPlaying.title;
  $('player-subtitle').textContent = nowPlaying.subtitle;
  const img = $('player-cover');
  paint(img.parentElement, img, nowPlaying.image, 48);
  const state = (id, what, label) => {
    $(id).setAttribute('aria-pressed', String(home.done.has(what)));
    $(id).setAttribute('aria-label', label);
  };
  state('player-heart', `heart ${nowPlaying.uri}`, `Heart ${nowPlaying.title}`);
  state('player-follow', `follow ${nowPlaying.subtitle || 'the artist'}`, `Follow ${nowPlaying.subtitle || 'the artist'}`);
}

// choose starts over with another listener.
function choose(id) {
  watch.abort();
  wake();
  watch = new AbortController();
  user = id;
  nowPlaying = null;
  showPlayer();
  home.clear();
  log.clear();
  $('log-hint').hidden = false;
  $('leftout').hidden = true;
  $('listener').value = id;
  history.replaceState(null, '', `#${encodeURIComponent(id)}`);
  const who = listeners.find((l) => l.id === id);
  const name = who?.name || id;
  $('about').textContent = [name, who?.about].filter(Boolean).join(' · ');
  $('avatar').textContent = name.split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((w) => w[0].toUpperCase()).join('');
  $('avatar').style.setProperty('--hue', String([...id].reduce((h, c) => (h * 31 + c.codePointAt(0)) % 360, 7)));
  $('scroll').scrollTop = 0;
  look(watch.signal);
}

function clock() {
  const now = new Date();
  $('clock').textContent = now.toLocaleTimeString([], { hour: 'numeric', minute: '2-digit', hourCycle: 'h23' });
  const hour = now.getHours();
  const greeting = hour < 5 ? 'Good night' : hour < 12 ? 'Good morning' : hour < 18 ? 'Good afternoon' : 'Good evening';
  if ($('greeting').textContent !== greeting) $('greeting').textContent = greeting;
}

// meet fills the list of listeners; it tries until the server answers.
async function meet() {
  for (;;) {
    try {
      listeners = await fetchListeners();
      if (listeners.length > 0) break;
      $('trouble').textContent = 'There is nobody yet: listeners appear with their first event.';
    } catch (e) {
      $('trouble').textContent = `${e.message} Trying again.`;
    }
    $('trouble').hidden = false;
    await new Promise((resolve) => setTimeout(resolve, 2 * period));
  }
  $('trouble').hidden = true;
  $('listener').replaceChildren(...listeners.map((l) => make('option', { value: l.id, textContent: l.name || l.id })));
  $('listener').disabled = false;
  const asked = decodeURIComponent(location.hash.slice(1));
  choose(listeners.some((l) => l.id === asked) ? asked : listeners[0].id);
}

$('listener').addEventListener('change', (e) => choose(e.target.value));
$('any').addEventListener('click', () => listeners.length > 0 && choose(listeners[Math.floor(Math.random() * listeners.length)].id));
themeButton($('theme'), say);
$('player-heart').addEventListener('click', () => heart(nowPlaying));
$('player-follow').addEventListener('click', () => follow(nowPlaying));
document.addEventListener('visibilitychange', () => wake());
clock();
meet();
new Way($('way'), $('hops'), $('visible'), $('speeds')).run(new AbortController().signal);
