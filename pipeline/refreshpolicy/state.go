package refreshpolicy

import (
	"cmp"
	"slices"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// State is what one listener has done that no refresh has served yet: the Activity of the design; and, for shelves
// that wait for several events, which of those there were lately. The zero State is a listener with neither, and a
// State returns to it.
type State struct {
	slots []slot // by rule; nil when empty
}

// Empty reports whether the state is as the zero State: nothing is unserved and nothing is remembered.
func (s *State) Empty() bool { return s.slots == nil }

// slot is one shelf: the run of events that made it stale and are not served yet, and what it remembers.
type slot struct {
	armed       bool // there is a run
	due         int64
	first, last ref // the run's ends, by time and then by id
	count       int64
	pos         uint64
	kept        []seen // events that a signal counts, by time and then by id
}

type ref struct {
	id string
	at int64 // ms
}

func (a ref) compare(b ref) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) }

type seen struct {
	ref
	kind event.Kind
}

// keepMost is how many events a slot remembers, the newest ones. An event that comes after that many later ones
// of its listener may fail to complete a signal.
const keepMost = 64

func (sl *slot) empty() bool { return !sl.armed && len(sl.kept) == 0 }

// add takes an event of a kind that the rule listens to.
//
// Which events make a shelf stale depends on the set of events alone, neither on their order nor on what has been
// served: one that is enough by itself, or one that has AtLeast-1 others of its kind before it Within. So an event
// that comes late can make stale what was there before it.
func (sl *slot) add(r *rule, e seen, pos uint64) {
	if r.single(e.kind) {
		sl.extend(r, e.ref, pos)
		return
	}
	known := sl.keep(e)
	for i := len(sl.kept) - 1; i >= 0 && sl.kept[i].at >= e.at; i-- {
		w := sl.kept[i]
		if w.kind == e.kind && r.completes(sl.kept, w, e, known) {
			sl.extend(r, w.ref, pos)
		}
	}
}

// keep remembers the event and reports whether it had been already.
func (sl *slot) keep(e seen) (known bool) {
	i := len(sl.kept)
	for i > 0 && sl.kept[i-1].compare(e.ref) > 0 {
		i--
	}
	if i > 0 && sl.kept[i-1].ref == e.ref {
		return true
	}
	sl.kept = slices.Insert(sl.kept, i, e)
	if len(sl.kept) > keepMost {
		sl.kept = slices.Delete(sl.kept, 0, 1)
	}
	return false
}

// extend adds an event that makes the shelf stale to the run. The promise counts from the run's first event, so
// one that comes late can only pull the refresh forward.
func (sl *slot) extend(r *rule, e ref, pos uint64) {
	if !sl.armed {
		sl.armed, sl.due, sl.first, sl.last, sl.count, sl.pos = true, e.at+r.freshness, e, e, 1, pos
		return
	}
	sl.pos = min(sl.pos, pos)
	if e == sl.first || e == sl.last {
		return // the same again
	}
	sl.due = min(sl.due, e.at+r.freshness)
	if e.compare(sl.first) < 0 {
		sl.first = e
	}
	if e.compare(sl.last) > 0 {
		sl.last = e
	}
	sl.count++
}

// serve empties the run into a Due.
func (sl *slot) serve(shelf string) trigger.Due {
	d := trigger.Due{
		Shelf: shelf,
		First: trigger.Ref{ID: sl.first.id, Time: time.UnixMilli(sl.first.at).UTC()},
		Last:  trigger.Ref{ID: sl.last.id, Time: time.UnixMilli(sl.last.at).UTC()},
		Count: sl.count,
	}
	*sl = slot{kept: sl.kept}
	return d
}

// next is when the run is due or, without one, when everything remembered can be forgotten.
func (sl *slot) next(p *Policy, r *rule) (int64, bool) {
	if sl.armed {
		return sl.due, true
	}
	if len(sl.kept) == 0 {
		return 0, false
	}
	return p.expiry(r, sl.kept[len(sl.kept)-1]), true
}

// expire forgets events that can't complete a signal any more.
func (sl *slot) expire(p *Policy, r *rule, now int64) {
	n := 0
	for n < len(sl.kept) && p.expiry(r, sl.kept[n]) <= now {
		n++
	}
	if n == len(sl.kept) {
		sl.kept = nil
		return
	}
	sl.kept = slices.Delete(sl.kept, 0, n)
}

// expiry is when an event can't count for a signal any more.
func (p *Policy) expiry(r *rule, w seen) int64 { return w.at + r.patience + p.lateness }

// single reports whether one event of the kind is enough to make the shelf stale.
func (r *rule) single(k event.Kind) bool {
	for _, s := range r.signals {
		if s.kind == k && s.atLeast == 1 {
			return true
		}
	}
	return false
}

// completes reports whether e, which has just come, lets a signal be complete at w, which is e or newer. If it was
// complete without e, it has been told already; unless e was known, for then it may be e that was read again after
// a crash to tell it.
func (r *rule) completes(kept []seen, w, e seen, known bool) bool {
	for _, s := range r.signals {
		if s.kind != e.kind || w.at-e.at > s.within {
			continue
		}
		n := 0
		for _, k := range kept {
			if k.kind == s.kind && k.at <= w.at && w.at-k.at <= s.within {
				n++
			}
		}
		if n == s.atLeast || n > s.atLeast && (known || w.ref == e.ref) {
			return true
		}
	}
	return false
}
