package madeup

import (
	"container/heap"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"homefeed/pipeline/event"
)

// deed is an event before its names are put in.
type deed struct {
	ms     int64
	kind   event.Kind
	object int32 // number of a track; of an artist when followed
}

// event puts the names in.
func (w *World) event(l *listener, d deed) event.Event {
	var id [64]byte
	e := event.Event{
		ID:     string(strconv.AppendInt(append(id[:0], l.prefix...), d.ms, 36)),
		Kind:   d.kind,
		User:   l.name,
		Time:   time.UnixMilli(d.ms).UTC(),
		Market: markets[l.market].code,
	}
	if d.kind == event.Followed {
		e.Object = w.artists[d.object].id
	} else {
		e.Object = w.tracks[d.object].id
	}
	return e
}

// History is everything that the listeners did at from or later and before to, in the order of time and, at one
// time, of listeners. A listener never does two things at once. It holds a day of each listener in memory.
func (w *World) History(from, to time.Time) iter.Seq[event.Event] {
	return func(yield func(event.Event) bool) {
		var open diaries
		for i := range w.people {
			d := newDiary(w, i, ceilMilli(from), ceilMilli(to))
			if d.more() {
				open = append(open, d)
			}
		}
		heap.Init(&open)
		for len(open) > 0 {
			d := open[0]
			if !yield(w.event(d.l, d.deeds[0])) {
				return
			}
			d.deeds = d.deeds[1:]
			if d.more() {
				heap.Fix(&open, 0)
			} else {
				heap.Pop(&open)
			}
		}
	}
}

// ceilMilli is the first whole millisecond that isn't before t.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

// diary is what one listener does, a day at a time.
type diary struct {
	ear
	nth      int // of the listener
	source   *rand.PCG
	tomorrow int64
	from, to int64  // milliseconds
	deeds    []deed // what is left of the day
	page     []deed // holds deeds
}

func newDiary(w *World, nth int, from, to int64) *diary {
	source := rand.NewPCG(0, 0)
	l := &w.people[nth]
	return &diary{
		ear: ear{w: w, l: l, r: rand.New(source)},
		nth: nth, source: source, tomorrow: l.localDay(from), from: from, to: to,
	}
}

// more reports whether there is another deed, and sees that it is in d.deeds.
func (d *diary) more() bool {
	for len(d.deeds) == 0 {
		if d.l.dayStart(d.tomorrow) >= d.to {
			return false
		}
		d.write()
	}
	return d.deeds[0].ms < d.to
}

// write makes up the next day: some sessions of consecutive tracks, all within the local day.
func (d *diary) write() {
	day := d.tomorrow
	d.tomorrow++
	d.source.Seed(d.l.seed, mix(uint64(day)))
	d.wake(day)
	d.page = d.page[:0]
	plays := d.l.appetite * (.4 + 1.3*d.r.Float64())
	if d.r.IntN(16) == 0 {
		plays = 0 // a day off
	}
	var room [16]int64
	starts := room[:0]
	for range min(int(plays+8)/9, len(room)) {
		starts = append(starts, d.start())
	}
	slices.Sort(starts)
	at := int64(0)
	for _, start := range starts {
		length := int(plays / float64(len(starts)) * (.6 + .8*d.r.Float64()))
		at = d.session(max(at, start), max(2, length)) + d.r.Int64N(30*60_000)
	}
	first := d.l.dayStart(day)
	for i := range d.page {
		d.page[i].ms += first
	}
	d.deeds = d.page
	for len(d.deeds) > 0 && d.deeds[0].ms < d.from {
		d.deeds = d.deeds[1:]
	}
}

// start is a moment of the day, in milliseconds, as likely as the listener's rhythm says.
func (d *diary) start() int64 {
	hour, _ := slices.BinarySearch(d.l.hours[:], d.r.Float64()*d.l.hours[23])
	return int64(hour)*hourMillis + d.r.Int64N(hourMillis)
}

// session plays tracks from a moment of the day until they or the day are over, and says when that is. A heart
// comes while the track plays, and a follow just before its end.
func (d *diary) session(at int64, tracks int) int64 {
	d.sit()
	for range tracks {
		t, loved := d.next()
		length := d.w.tracks[t].seconds * 1000
		if at+length >= millisecondsDay {
			return millisecondsDay
		}
		heart, follow := d.reacts(loved)
		d.page = append(d.page, deed{at, event.Played, t})
		if heart {
			d.page = append(d.page, deed{at + 10_000 + d.r.Int64N(length-40_000), event.Hearted, t})
		}
		if follow {
			d.page = append(d.page, deed{at + length - 20_000 + d.r.Int64N(10_000), event.Followed, d.w.tracks[t].artist})
		}
		at += length + d.r.Int64N(2_000)
	}
	return at
}

// diaries is a heap of those that have a next deed, the earliest on top.
type diaries []*diary

func (h diaries) Len() int { return len(h) }
func (h diaries) Less(i, j int) bool {
	a, b := h[i], h[j]
	return a.deeds[0].ms < b.deeds[0].ms || a.deeds[0].ms == b.deeds[0].ms && a.nth < b.nth
}
func (h diaries) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *diaries) Push(d any) { *h = append(*h, d.(*diary)) }

// Pop is part of heap.Interface.
func (h *diaries) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
