// Package listeners keeps the refresh policy's states of some listeners, with a timer for each: it is the refresh
// policy for many. No clock, no I/O.
package listeners

import (
	"container/heap"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trigger"
)

// Set is the listeners that have something unserved or remembered; the others cost nothing. Not safe for concurrent
// use.
type Set struct {
	policy *refreshpolicy.Policy
	byUser map[string]*listener
	timers timers
}

type listener struct {
	user  string
	state refreshpolicy.State
	due   int64 // ms
	index int   // in timers; -1: not there
}

// New makes an empty Set.
func New(policy *refreshpolicy.Policy) *Set {
	return &Set{policy: policy, byUser: map[string]*listener{}}
}

// Len is how many listeners there are.
func (s *Set) Len() int { return len(s.byUser) }

// Add is Policy.Add for the event's listener.
func (s *Set) Add(e event.Event, pos uint64) []trigger.Trigger {
	l := s.byUser[e.User]
	if l == nil {
		l = &listener{user: e.User, index: -1}
		s.byUser[e.User] = l
	}
	fired := s.policy.Add(&l.state, e, pos)
	s.rearm(l)
	return fired
}

// Advance fires everything that is due at or before now, and hands it to do listener by listener, who is due first
// first. It stops at do's error and returns it; what was handed over counts as served.
func (s *Set) Advance(now time.Time, do func([]trigger.Trigger) error) error {
	for len(s.timers) > 0 && s.timers[0].due <= now.UnixMilli() {
		l := s.timers[0]
		fired := s.policy.Advance(&l.state, l.user, now)
		s.rearm(l)
		if err := do(fired); err != nil {
			return err
		}
	}
	return nil
}

// Next is when Advance has something to do; false when it never has.
func (s *Set) Next() (time.Time, bool) {
	if len(s.timers) == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(s.timers[0].due).UTC(), true
}

// OldestPos is the lowest Policy.OldestPos; false when there is none.
func (s *Set) OldestPos() (uint64, bool) {
	oldest, ok := uint64(0), false
	for _, l := range s.byUser {
		if pos, has := s.policy.OldestPos(&l.state); has && (!ok || pos < oldest) {
			oldest, ok = pos, true
		}
	}
	return oldest, ok
}

// Each calls do with every listener's encoded state.
func (s *Set) Each(do func(user string, state []byte)) {
	for user, l := range s.byUser {
		do(user, s.policy.Encode(&l.state))
	}
}

// Restore puts a listener back with a state that Each gave. An error says that it is no state.
func (s *Set) Restore(user string, encoded []byte) error {
	state, err := s.policy.Decode(encoded)
	if err != nil || state.Empty() {
		return err
	}
	l := &listener{user: user, state: state, index: -1}
	s.byUser[user] = l
	s.rearm(l)
	return nil
}

// rearm puts the listener where its next timer is, or forgets it when it has none.
func (s *Set) rearm(l *listener) {
	next, ok := s.policy.Next(&l.state)
	due := next.UnixMilli()
	switch {
	case !ok && l.index < 0:
		delete(s.byUser, l.user)
	case !ok:
		heap.Remove(&s.timers, l.index)
		delete(s.byUser, l.user)
	case l.index < 0:
		l.due = due
		heap.Push(&s.timers, l)
	case due != l.due:
		l.due = due
		heap.Fix(&s.timers, l.index)
	}
}

// timers is a heap of listeners, the earliest first; of equals the one with the smaller id, so that the triggers of
// one moment come in one order.
type timers []*listener

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	if t[i].due != t[j].due {
		return t[i].due < t[j].due
	}
	return t[i].user < t[j].user
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	l := x.(*listener)
	l.index = len(*t)
	*t = append(*t, l)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	l := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	l.index = -1
	return l
}
