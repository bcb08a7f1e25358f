// Package refreshpolicy decides when a listener's shelves are made again. It is a pure state machine: no Beam,
// no clock, no I/O. Time is event time, handed in.
//
// A shelf promises to lag at most its Guard.Freshness T behind the first event that made it stale. The fewest
// refreshes that keep that promise is: fire at (first unserved event + T). That is the greedy stabbing of
// intervals, an offline optimum (an event at t needs a refresh in (t, t+T]; firing as late as the oldest open
// interval allows serves the most). An event exactly at a fire time belongs to the next run.
//
// What makes a shelf stale depends on the set of events alone. So the newest as-of of a shelf, and with it its row,
// is the same in whatever order and however often the events come, as long as none comes more than Config.Lateness
// late; only how they are grouped on the way there depends on the order.
package refreshpolicy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

// Config tunes the policy. The zero Config fires every shelf exactly when it is due.
type Config struct {
	// Cooldown is the least event time between two refreshes of one listener whose events come in order, but for what
	// the smallest Freshness demands. It is kept by riding along: a refresh takes every shelf due within Cooldown with
	// it, early, so nothing is late. One refresh of two shelves costs less than two, and a shelf that rides along is
	// made again the sooner.
	Cooldown time.Duration
	// Lateness is how late an event may come, against newer ones of its listener and against Advance, and still
	// count for a signal of more than one event; 0 means DefaultLateness. Other signals take any event.
	Lateness time.Duration
}

// DefaultLateness is Config.Lateness unless said otherwise.
const DefaultLateness = 15 * time.Minute

// Policy is an immutable set of rules, safe for concurrent use.
type Policy struct {
	rules    []rule
	byName   map[string]int
	cooldown int64 // ms
	lateness int64 // ms
}

type rule struct {
	shelf     string
	signals   []signal
	freshness int64 // ms
	patience  int64 // ms: the longest stretch in which a signal counts events
}

type signal struct {
	kind    event.Kind
	atLeast int
	within  int64 // ms
}

// New makes the policy of the shelves whose Scope is shelf.Listener. The error names the declaration that is
// wrong and what would be right.
func New(shelves []*shelf.Shelf, cfg Config) (*Policy, error) {
	cfg.Lateness = cmp.Or(cfg.Lateness, DefaultLateness)
	if cfg.Cooldown < 0 {
		return nil, fmt.Errorf("refresh policy: Cooldown: want 0 or more, got %v", cfg.Cooldown)
	}
	if cfg.Lateness < 0 {
		return nil, fmt.Errorf("refresh policy: Lateness: want 0 or more, got %v", cfg.Lateness)
	}
	p := &Policy{
		byName: map[string]int{}, cooldown: cfg.Cooldown.Milliseconds(), lateness: cfg.Lateness.Milliseconds(),
	}
	for _, s := range shelves {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("refresh policy: %w", err)
		}
		if s.Scope != shelf.Listener {
			continue
		}
		if _, dup := p.byName[s.Name]; dup {
			return nil, fmt.Errorf("refresh policy: shelf %q is listed twice", s.Name)
		}
		r := rule{shelf: s.Name, freshness: s.Guard.WithDefaults().Freshness.Milliseconds()}
		for _, sig := range s.Signals() {
			r.signals = append(r.signals, signal{event.Kind(sig.Kind), sig.AtLeast, sig.Within.Milliseconds()})
			r.patience = max(r.patience, sig.Within.Milliseconds())
		}
		p.byName[s.Name] = len(p.rules)
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// MaxFreshness is the longest that an event can stay unserved once it has made a shelf stale, in event time.
func (p *Policy) MaxFreshness() time.Duration {
	var longest int64
	for _, r := range p.rules {
		longest = max(longest, r.freshness)
	}
	return time.Duration(longest) * time.Millisecond
}

// Add takes one event of the state's listener. Every refresh due at or before the event's time fires first, so
// that the triggers don't depend on when timers ran; they are returned in order of FireTime, without an ID, which
// publishing gives them: behind a backlog most never get there. pos is the event's
// position at the source (any rising number), for OldestPos.
func (p *Policy) Add(s *State, e event.Event, pos uint64) []trigger.Trigger {
	at := e.Time.UnixMilli()
	fired := p.fire(s, e.User, at)
	for i := range p.rules {
		if !p.rules[i].listensTo(e.Kind) {
			continue
		}
		if s.slots == nil {
			s.slots = make([]slot, len(p.rules))
		}
		s.slots[i].add(&p.rules[i], seen{ref{e.ID, at}, e.Kind}, pos)
	}
	return fired
}

// Advance fires every refresh of user that is due at or before now, in order of FireTime.
func (p *Policy) Advance(s *State, user string, now time.Time) []trigger.Trigger {
	return p.fire(s, user, now.UnixMilli())
}

// Next is the earliest time at which Advance has something to do; false when the state is empty. Late events
// make it lie in the past: then Advance at once.
func (p *Policy) Next(s *State) (time.Time, bool) {
	next, ok := int64(0), false
	for i := range s.slots {
		if t, has := s.slots[i].next(p, &p.rules[i]); has && (!ok || t < next) {
			next, ok = t, true
		}
	}
	return time.UnixMilli(next).UTC(), ok
}

// OldestPos is the lowest position of an event that made a shelf stale and is not served yet; false when there is
// none. A source may forget everything below the lowest OldestPos of all listeners. That loses no refresh that is
// owed; what is remembered for signals of more than one event is lost with the state, and counts from zero again.
func (p *Policy) OldestPos(s *State) (uint64, bool) {
	oldest, ok := uint64(0), false
	for i := range s.slots {
		if sl := &s.slots[i]; sl.armed && (!ok || sl.pos < oldest) {
			oldest, ok = sl.pos, true
		}
	}
	return oldest, ok
}

func (p *Policy) fire(s *State, user string, now int64) []trigger.Trigger {
	var fired []trigger.Trigger
	for {
		first, found := int64(0), false
		for i := range s.slots {
			if sl := &s.slots[i]; sl.armed && sl.due <= now && (!found || sl.due < first) {
				first, found = sl.due, true
			}
		}
		if !found {
			break
		}
		t := trigger.Trigger{User: user, Cause: trigger.Streaming, FireTime: time.UnixMilli(first).UTC()}
		for i := range s.slots {
			if sl := &s.slots[i]; sl.armed && sl.due <= first+p.cooldown {
				t.Due = append(t.Due, sl.serve(p.rules[i].shelf))
			}
		}
		fired = append(fired, t)
	}
	for i := range s.slots {
		s.slots[i].expire(p, &p.rules[i], now)
	}
	if !slices.ContainsFunc(s.slots, func(sl slot) bool { return !sl.empty() }) {
		s.slots = nil // a served listener costs nothing
	}
	return fired
}

func (r *rule) listensTo(k event.Kind) bool {
	for _, s := range r.signals {
		if s.kind == k {
			return true
		}
	}
	return false
}
