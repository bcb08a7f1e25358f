// The panel of counters, from Event to Home. It stays hidden where the process doesn't show them.

import { fetchWay } from './client.js';
import { ago, make } from '../look/dom.js';

const period = 2000; // ms

export class Way {
  constructor(panel, hops, visible, rows) {
    Object.assign(this, { panel, hops, visible, rows });
    this.last = null;
    this.before = new Map(); // by shelf: the buckets when the page was opened
  }

  // run asks again and again until signal ends it or there is nothing to show.
  async run(signal) {
    while (!signal.aborted) {
      if (!document.hidden) {
        try {
          const way = await fetchWay(signal);
          if (way === null) return;
          this.show(way);
        } catch { /* the next round tries again; Home tells that the server is away */ }
      }
      await new Promise((resolve) => setTimeout(resolve, period));
    }
  }

  show(way) {
    const now = performance.now();
    this.panel.hidden = false;
    this.hops.replaceChildren(...way.hops.map((hop, i) => {
      const before = this.last?.way.hops[i]?.count;
      const rate = before != null && hop.count != null ? (1000 * (hop.count - before)) / (now - this.last.at) : 0;
      const shown = rate >= 10 ? Math.round(rate) : rate.toFixed(1);
      return make('li', { className: rate > 0 ? 'live' : '' }, make('b', { textContent: hop.name }), make('span', { textContent: hop.what, title: hop.what }),
        make('output', {}, make('small', { textContent: rate > 0 ? `+${shown}/s` : '' }), hop.count == null ? '–' : hop.count.toLocaleString()));
    }));
    this.showSpeeds(way.visible);
    this.last = { way, at: now };
  }

  showSpeeds(shelves) {
    if (this.last === null) for (const { shelf, buckets } of shelves) this.before.set(shelf, buckets);
    this.visible.hidden = shelves.length === 0;
    const text = (s) => (s == null ? '–' : s < 1 ? `${Math.round(s * 1000)} ms` : s < 100 ? `${s.toFixed(1)} s` : ago(1000 * s));
    this.rows.replaceChildren(...shelves.map(({ shelf, buckets }) => {
      const cell = (q) => make('td', { textContent: text(quantile(buckets, this.before.get(shelf), q)) });
      return make('tr', {}, make('td', { textContent: shelf.replaceAll('_', ' ') }), cell(0.5), cell(0.99));
    }));
  }
}

// quantile is read off the buckets, less those of before, with straight lines between their bounds; above the last it is
// that bound. Null: there is nothing new.
function quantile(buckets, before, q) {
  const rows = (i) => buckets[i].rows - (before?.[i]?.rows ?? 0);
  const all = rows(buckets.length - 1);
  if (all <= 0) return null;
  let [low, below] = [0, 0];
  for (let i = 0; i < buckets.length; i++) {
    const upTo = rows(i);
    if (upTo >= q * all && upTo > below) return low + ((buckets[i].seconds - low) * (q * all - below)) / (upTo - below);
    [low, below] = [buckets[i].seconds, upTo];
  }
  return low;
}
