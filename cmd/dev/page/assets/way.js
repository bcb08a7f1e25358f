// The panel of counters, from Event to Home. It stays hidden where the process doesn't show them.

import { fetchWay } from './client.js';
import { ago, make } from '../look/dom.js';

const period = 2000; // ms

export class Way {
  constructor(panel, hops, visible, rows) {
    Object.assign(this, { panel, hops, visible, rows });
    this.last = null;
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
    this.visible.hidden = way.visible.length === 0;
    const seconds = (s) => (s < 1 ? `${Math.round(s * 1000)} ms` : s < 100 ? `${s.toFixed(1)} s` : ago(1000 * s));
    this.rows.replaceChildren(...way.visible.map((v) => make('tr', {}, make('td', { textContent: v.shelf.replaceAll('_', ' ') }), make('td', { textContent: seconds(v.p50) }), make('td', { textContent: seconds(v.p99) }))));
    this.last = { way, at: now };
  }
}
