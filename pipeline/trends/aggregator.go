package trends

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// Stats counts what an Aggregator did not count as it came.
type Stats struct {
	Repeated     int64 // plays seen before, left out
	Late         int64 // plays older than the lateness allows, left out
	Unremembered int64 // plays beyond MaxRemembered: counted, but a repeat would count again
	Uncounted    int64 // counts beyond MaxCounts, left out
}

// Aggregator keeps the sliding windows of every market. A play is counted once, in the pane (a stretch of Every)
// that it falls into; a window is Length/Every panes. Not safe for concurrent use.
type Aggregator struct {
	cfg      Config
	every    int64 // ms
	panes    int64 // a window has
	lateness int64 // ms
	now      int64 // ms: the watermark
	due      int64 // ms: when Advance has something to do; math.MaxInt64: never

	markets    map[string]*market
	counts     int             // over all markets' panes
	seen       map[int64]*seen // by pane
	remembered int
	stats      Stats
}

// market has panes by number: pane n is the stretch [n*Every, (n+1)*Every). Windows go by the number of the pane
// behind their end: window n is panes [n-panes, n) and ends at n*Every.
type market struct {
	panes   map[int64]*pane
	emitted int64 // the newest window emitted; math.MinInt64: none
	at      int64 // ms: the watermark when it was
	dirty   bool  // a play came into it since
}

// pane is a Tally and how it was encoded, nil when plays have come since.
type pane struct {
	Tally
	encoded []byte
}

// seen is the plays of a pane by their fingerprints: to look up, and one after the other as they are kept.
type seen struct {
	set map[uint64]struct{}
	log []byte
}

func (s *seen) add(print uint64) {
	if _, known := s.set[print]; known {
		return
	}
	s.set[print] = struct{}{}
	s.log = binary.LittleEndian.AppendUint64(s.log, print)
}

// New makes an empty Aggregator; the error names the field that is wrong.
func New(cfg Config) (*Aggregator, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Aggregator{
		cfg: cfg, every: cfg.Every.Milliseconds(), panes: int64(cfg.Length / cfg.Every),
		lateness: cfg.Lateness.Milliseconds(), now: math.MinInt64, due: math.MaxInt64,
		markets: map[string]*market{}, seen: map[int64]*seen{},
	}, nil
}

// Stats is what has been left out so far.
func (a *Aggregator) Stats() Stats { return a.stats }

// Add counts a play in its market and in the world, once; other kinds of events are ignored.
func (a *Aggregator) Add(e event.Event) {
	if e.Kind != event.Played {
		return
	}
	pane := floorDiv(e.Time.UnixMilli(), a.every)
	if a.expiry(pane) <= a.now {
		a.stats.Late++
		return
	}
	if a.repeated(e, pane) {
		a.stats.Repeated++
		return
	}
	if e.Market != "" {
		a.add(e.Market, pane, e)
	}
	a.add(trigger.World, pane, e)
}

// expiry is when the last window of a pane takes no more plays, in ms.
func (a *Aggregator) expiry(pane int64) int64 { return (pane+a.panes)*a.every + a.lateness }

func (a *Aggregator) repeated(e event.Event, pane int64) bool {
	print := Fingerprint(e)
	s := a.seen[pane]
	if s != nil {
		if _, repeated := s.set[print]; repeated {
			return true
		}
	}
	if a.remembered >= a.cfg.MaxRemembered {
		a.stats.Unremembered++
		return false
	}
	if s == nil {
		s = &seen{set: map[uint64]struct{}{}}
		a.seen[pane] = s
	}
	s.add(print)
	a.remembered++
	return false
}

func (a *Aggregator) add(name string, n int64, e event.Event) {
	m := a.markets[name]
	var p *pane
	if m != nil {
		p = m.panes[n]
	}
	if p == nil || p.Plays[e.Object] == 0 {
		if a.counts >= a.cfg.MaxCounts {
			a.stats.Uncounted++
			return
		}
		a.counts++
	}
	if m == nil {
		m = &market{panes: map[int64]*pane{}, emitted: math.MinInt64}
		a.markets[name] = m
	}
	if p == nil {
		p = &pane{}
		m.panes[n] = p
		a.due = min(a.due, (n+1)*a.every)
	}
	p.Add(e)
	p.encoded = nil
	if !m.dirty && m.emitted-a.panes <= n && n < m.emitted {
		m.dirty = true
		a.due = min(a.due, m.at+a.pause())
	}
}

// pause is the least watermark time between two emissions of one window.
func (a *Aggregator) pause() int64 { return max(a.every/6, 1) }

// Advance moves the watermark to now, never back, and returns a trigger for the newest window of each market that
// has ended by then and has plays: when it is a new one, or when late plays have changed it. Older windows that
// ended in the same step are passed over, for their rows would be replaced at once. In order of market.
func (a *Aggregator) Advance(now time.Time) []trigger.Trigger {
	a.now = max(a.now, now.UnixMilli())
	if a.now < a.due {
		return nil
	}
	var fired []trigger.Trigger
	for _, name := range slices.Sorted(maps.Keys(a.markets)) {
		m := a.markets[name]
		end, ok := a.newest(m)
		if !ok || end < m.emitted || end == m.emitted && (!m.dirty || a.now < m.at+a.pause()) {
			continue
		}
		var window Tally
		for n := end - a.panes; n < end; n++ {
			if p := m.panes[n]; p != nil {
				window.Merge(&p.Tally)
			}
		}
		if t, ok := a.cfg.Trigger(name, time.UnixMilli(end*a.every), &window); ok {
			fired = append(fired, t)
		}
		m.emitted, m.at, m.dirty = end, a.now, false
	}
	a.forget()
	a.due = a.next()
	return fired
}

// newest is the newest window that has ended and has plays.
func (a *Aggregator) newest(m *market) (int64, bool) {
	ended := floorDiv(a.now, a.every)
	last, ok := int64(0), false
	for pane := range m.panes {
		if pane < ended && (!ok || pane > last) {
			last, ok = pane, true
		}
	}
	return min(ended, last+a.panes), ok
}

// forget drops panes whose windows take no more plays.
func (a *Aggregator) forget() {
	for name, m := range a.markets {
		for n, p := range m.panes {
			if a.expiry(n) <= a.now {
				a.counts -= len(p.Plays)
				delete(m.panes, n)
			}
		}
		if len(m.panes) == 0 {
			delete(a.markets, name)
		}
	}
	for n, s := range a.seen {
		if a.expiry(n) <= a.now {
			a.remembered -= len(s.set)
			delete(a.seen, n)
		}
	}
}

func (a *Aggregator) next() int64 {
	next := int64(math.MaxInt64)
	end := floorDiv(a.now, a.every) + 1
	for _, m := range a.markets {
		last := int64(math.MinInt64)
		for pane := range m.panes {
			last = max(last, pane)
		}
		switch {
		case m.dirty:
			next = min(next, m.at+a.pause())
			fallthrough
		case last+a.panes >= end:
			next = min(next, end*a.every)
		default:
			next = min(next, a.expiry(last))
		}
	}
	return next
}

// Next is when Advance has something to do; false when nothing is kept.
func (a *Aggregator) Next() (time.Time, bool) {
	return time.UnixMilli(a.due).UTC(), a.due != math.MaxInt64
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
