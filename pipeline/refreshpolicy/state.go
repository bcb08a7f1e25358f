package refreshpolicy

import (
	"cmp"
	"slices"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// State is what one listener has done that no refresh has served yet: the Activity of the design. The zero State
// is a listener with nothing unserved, and a State returns to it when everything is served.
type State struct {
	slots []slot // by rule; nil when empty
}

// Empty reports whether nothing is unserved.
func (s *State) Empty() bool { return s.slots == nil }

// slot is one shelf's unserved events. Until a signal is complete they wait one by one; from then on only the
// run's ends and its length matter.
type slot struct {
	waiting     []seen // by time; only while not armed
	armed       bool
	due         int64 // ms; when armed
	first, last ref   // by time; when armed
	count       int64 // when armed
	pos         uint64
}

type ref struct {
	id string
	at int64 // ms
}

type seen struct {
	ref
	kind event.Kind
	pos  uint64
}

func (sl *slot) empty() bool { return !sl.armed && len(sl.waiting) == 0 }

func (sl *slot) add(r *rule, e seen) {
	if sl.armed {
		sl.fold(e)
		// A late event can only pull the refresh forward: the promise counts from the first event.
		if r.single(e.kind) {
			sl.due = min(sl.due, e.at+r.freshness)
		}
		return
	}
	i, _ := slices.BinarySearchFunc(sl.waiting, e, func(a, b seen) int { return cmp.Compare(a.at, b.at) })
	sl.waiting = slices.Insert(sl.waiting, i, e)
	at, complete := r.complete(sl.waiting)
	if !complete {
		return
	}
	sl.armed, sl.due = true, at+r.freshness
	sl.first, sl.last, sl.pos, sl.count = sl.waiting[0].ref, sl.waiting[0].ref, sl.waiting[0].pos, 0
	for _, w := range sl.waiting {
		sl.fold(w)
	}
	sl.waiting = nil
}

func (sl *slot) fold(e seen) {
	if e.at < sl.first.at {
		sl.first = e.ref
	}
	if e.at >= sl.last.at {
		sl.last = e.ref
	}
	sl.pos = min(sl.pos, e.pos)
	sl.count++
}

// serve empties the slot into a Due.
func (sl *slot) serve(shelf string) trigger.Due {
	d := trigger.Due{
		Shelf: shelf,
		First: trigger.Ref{ID: sl.first.id, Time: time.UnixMilli(sl.first.at).UTC()},
		Last:  trigger.Ref{ID: sl.last.id, Time: time.UnixMilli(sl.last.at).UTC()},
		Count: sl.count,
	}
	*sl = slot{}
	return d
}

func (sl *slot) next(r *rule) (int64, bool) {
	if sl.armed {
		return sl.due, true
	}
	if len(sl.waiting) == 0 {
		return 0, false
	}
	next := sl.waiting[0].at + r.patience(sl.waiting[0].kind)
	for _, w := range sl.waiting[1:] {
		next = min(next, w.at+r.patience(w.kind))
	}
	return next, true
}

func (sl *slot) oldestPos() (uint64, bool) {
	if sl.armed {
		return sl.pos, true
	}
	if len(sl.waiting) == 0 {
		return 0, false
	}
	oldest := sl.waiting[0].pos
	for _, w := range sl.waiting[1:] {
		oldest = min(oldest, w.pos)
	}
	return oldest, true
}

// expire forgets waiting events that can't complete a signal any more.
func (sl *slot) expire(r *rule, now int64) {
	sl.waiting = slices.DeleteFunc(sl.waiting, func(w seen) bool { return w.at+r.patience(w.kind) <= now })
	if len(sl.waiting) == 0 {
		sl.waiting = nil
	}
}

// single reports whether one event of the kind is enough to make the shelf stale.
func (r *rule) single(k event.Kind) bool {
	return slices.ContainsFunc(r.signals, func(s signal) bool { return s.kind == k && s.atLeast == 1 })
}

// patience is for how long an event of the kind may wait for others.
func (r *rule) patience(k event.Kind) int64 {
	var longest int64
	for _, s := range r.signals {
		if s.kind == k {
			longest = max(longest, s.within)
		}
	}
	return longest
}

// complete reports whether some signal is complete, and the time of the event that completed the earliest.
func (r *rule) complete(waiting []seen) (int64, bool) {
	at, ok := int64(0), false
	for _, s := range r.signals {
		var run []int64
		for _, w := range waiting {
			if w.kind != s.kind {
				continue
			}
			run = append(run, w.at)
			if len(run) < s.atLeast {
				continue
			}
			if s.atLeast == 1 || w.at-run[len(run)-s.atLeast] <= s.within {
				if !ok || w.at < at {
					at, ok = w.at, true
				}
				break
			}
		}
	}
	return at, ok
}
