// Package shelf is all that the author of a shelf needs to know. A shelf is a name, what it listens to, how
// stale it may get, and one function that fills it. This package imports the standard library only.
package shelf

import (
	"context"
	"fmt"
	"time"
)

// Kind is what a listener did.
type Kind uint8

// The kinds that a Signal can listen to.
const (
	Played Kind = iota + 1
	Followed
	Hearted
)

// Scope is whose row a shelf belongs to.
type Scope uint8

const (
	// Listener shelves are made for one listener when that listener does something.
	Listener Scope = iota
	// Market shelves are made for everybody in a market, by the pipeline's windows.
	Market
)

// Shelf describes a row of Home. The smallest shelf is Name, Doc and Fill.
type Shelf struct {
	// Name is the column and the metric label: 1–40 of a–z, 0–9 and _.
	Name string
	// Doc says in one sentence, to an editor, what the listener gets.
	Doc string
	// Title is what Home shows above it until editors say otherwise; {name} is replaced by Request.Title's values.
	Title string
	// On says what makes the shelf stale. Empty: any play. List every kind that Fill asks for: a shelf that looks
	// at hearts and does not listen to Hearted shows old ones, and in another order of events other ones.
	On []Signal
	// Guard bounds the function. Zero fields take the defaults named there.
	Guard Guard
	// Scope is Listener unless said otherwise.
	Scope Scope
	// Recalls says that the shelf brings back what the listener knows, so its cards may also stand on shelves above
	// it. Other shelves offer something new: their cards that stand above are left out.
	Recalls bool
	// Fill returns the cards, best first. It is called off the request path and may take Guard.Timeout.
	// No cards and no error is a fine answer; the older row stays.
	Fill func(ctx context.Context, r *Request) ([]Card, error)
}

// Signal is something that makes a shelf stale: AtLeast events of a Kind Within a duration of event time.
type Signal struct {
	Kind    Kind
	AtLeast int           // 0 means 1; at most 16
	Within  time.Duration // needed when AtLeast is over 1; at most 10 minutes
}

// Guard bounds a shelf.
type Guard struct {
	Timeout  time.Duration // of one Fill; 0 means 2 s, at most 30 s
	MinCards int           // fewer write nothing; 0 means 1
	MaxCards int           // more are cut off; 0 means 20, at most 100
	// Freshness is how long the shelf may lag behind the first event that made it stale; 0 means 10 s, at most
	// 5 minutes. Longer is cheaper: one refresh serves every event of that time.
	Freshness time.Duration
	// GoodFor is for how long after its as-of a row is shown as fresh; 0 means 30 days.
	GoodFor time.Duration
}

// The defaults and bounds of Guard.
const (
	DefaultTimeout   = 2 * time.Second
	DefaultMaxCards  = 20
	DefaultFreshness = 10 * time.Second
	DefaultGoodFor   = 30 * 24 * time.Hour
	MaxTimeout       = 30 * time.Second
	MaxFreshness     = 5 * time.Minute
	MaxMaxCards      = 100
	MaxAtLeast       = 16
	MaxWithin        = 10 * time.Minute
)

// WithDefaults fills zero fields.
func (g Guard) WithDefaults() Guard {
	if g.Timeout == 0 {
		g.Timeout = DefaultTimeout
	}
	if g.MinCards == 0 {
		g.MinCards = 1
	}
	if g.MaxCards == 0 {
		g.MaxCards = DefaultMaxCards
	}
	if g.Freshness == 0 {
		g.Freshness = DefaultFreshness
	}
	if g.GoodFor == 0 {
		g.GoodFor = DefaultGoodFor
	}
	return g
}

// Signals is On, or its default.
func (s *Shelf) Signals() []Signal {
	if len(s.On) == 0 && s.Scope == Listener {
		return []Signal{{Kind: Played, AtLeast: 1}}
	}
	on := make([]Signal, len(s.On))
	for i, sig := range s.On {
		sig.AtLeast = max(sig.AtLeast, 1)
		on[i] = sig
	}
	return on
}

// Validate says what is wrong with the shelf's declaration and what would be right.
func (s *Shelf) Validate() error {
	bad := func(field, want string) error {
		return fmt.Errorf("shelf %q: %s: want %s", s.Name, field, want)
	}
	if !validName(s.Name) {
		return bad("Name", "1–40 of a–z, 0–9 and _")
	}
	if s.Doc == "" {
		return bad("Doc", "a sentence that tells an editor what the listener gets")
	}
	if s.Fill == nil {
		return bad("Fill", "a function")
	}
	if s.Scope == Market && len(s.On) > 0 {
		return bad("On", "nothing: a market's shelf is refreshed by the pipeline's windows")
	}
	for i, sig := range s.On {
		switch {
		case sig.Kind < Played || sig.Kind > Hearted:
			return bad(fmt.Sprintf("On[%d].Kind", i), "Played, Followed or Hearted")
		case sig.AtLeast < 0 || sig.AtLeast > MaxAtLeast:
			return bad(fmt.Sprintf("On[%d].AtLeast", i), "0 to 16")
		case sig.AtLeast > 1 && (sig.Within <= 0 || sig.Within > MaxWithin):
			return bad(fmt.Sprintf("On[%d].Within", i), "a duration up to 10m, because AtLeast is over 1")
		}
	}
	g := s.Guard.WithDefaults()
	switch {
	case g.Timeout < 0 || g.Timeout > MaxTimeout:
		return bad("Guard.Timeout", "up to 30s")
	case g.Freshness < time.Millisecond || g.Freshness > MaxFreshness:
		return bad("Guard.Freshness", "1ms to 5m")
	case g.MaxCards < 1 || g.MaxCards > MaxMaxCards:
		return bad("Guard.MaxCards", "1 to 100")
	case g.MinCards < 0 || g.MinCards > g.MaxCards:
		return bad("Guard.MinCards", "at most MaxCards")
	case g.GoodFor < 0:
		return bad("Guard.GoodFor", "a duration that is not negative")
	}
	return nil
}

func validName(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
