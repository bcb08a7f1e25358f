// Package plan merges the triggers that wait for one row into what they ask for together.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// Plan is what one or more triggers of one listener, or of one market, ask for together.
type Plan struct {
	User, Market string
	Due          []Due // by shelf
}

// Due is one shelf to make.
type Due struct {
	Shelf   string
	AsOf    time.Time
	Trigger string // the id of the one that asks for the newest as-of
	Top     []shelf.Count
}

// ErrBadTrigger says that a trigger's listener or market can't be a row's key, or that a due shelf has no as-of
// time; trying again can't help.
var ErrBadTrigger = errors.New("bad trigger")

// Of merges triggers of one key: every shelf that is due in any of them, as of the newest time that any asks
// for, and with that one's Top. Of equals the one published last counts: a market's window may be counted again.
func Of(ts ...trigger.Trigger) Plan {
	p := Plan{User: ts[0].User, Market: ts[0].Market}
	byShelf := map[string]Due{}
	for _, t := range ts {
		for _, d := range t.Due {
			asOf := d.Last.Time.UTC().Truncate(time.Millisecond)
			if have, ok := byShelf[d.Shelf]; !ok || !asOf.Before(have.AsOf) {
				byShelf[d.Shelf] = Due{d.Shelf, asOf, t.ID, counts(t.Top)}
			}
		}
	}
	for _, d := range byShelf {
		p.Due = append(p.Due, d)
	}
	slices.SortFunc(p.Due, func(a, b Due) int { return cmp.Compare(a.Shelf, b.Shelf) })
	return p
}

func counts(top []trigger.TrackCount) []shelf.Count {
	var counts []shelf.Count
	for _, c := range top {
		counts = append(counts, shelf.Count{ID: c.Track, Plays: c.Plays})
	}
	return counts
}

// Key is the row's key; an error is an ErrBadTrigger.
func (p *Plan) Key() (store.Key, error) {
	for _, d := range p.Due {
		if d.AsOf.UnixMilli() <= 0 || d.AsOf.Year() > 9999 { // an absent time is 1970 on the wire
			return "", fmt.Errorf("%w: due shelf %q: last event: want a time after 1970 and before 10000", ErrBadTrigger, d.Shelf)
		}
	}
	key, err := store.UserKey(p.User)
	if p.Market != "" {
		key, err = store.MarketKey(p.Market)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadTrigger, err)
	}
	return key, nil
}

// Scope says whether the row is a market's or a listener's.
func (p *Plan) Scope() shelf.Scope {
	if p.Market != "" {
		return shelf.Market
	}
	return shelf.Listener
}
