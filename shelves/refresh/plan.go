package refresh

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// plan is what one or more triggers of one listener, or of one market, ask for together.
type plan struct {
	user, market string
	due          []due // by shelf
}

// due is one shelf to make.
type due struct {
	shelf   string
	asOf    time.Time
	trigger string // the id of the one that asks for the newest as-of
	top     []shelf.Count
}

// planOf merges triggers of one key: every shelf that is due in any of them, as of the newest time that any asks
// for, and with that one's Top. Of equals the one published last counts: a market's window may be counted again.
func planOf(ts ...trigger.Trigger) plan {
	p := plan{user: ts[0].User, market: ts[0].Market}
	byShelf := map[string]due{}
	for _, t := range ts {
		for _, d := range t.Due {
			asOf := d.Last.Time.UTC().Truncate(time.Millisecond)
			if have, ok := byShelf[d.Shelf]; !ok || !asOf.Before(have.asOf) {
				byShelf[d.Shelf] = due{d.Shelf, asOf, t.ID, counts(t.Top)}
			}
		}
	}
	for _, d := range byShelf {
		p.due = append(p.due, d)
	}
	slices.SortFunc(p.due, func(a, b due) int { return cmp.Compare(a.shelf, b.shelf) })
	return p
}

func counts(top []trigger.TrackCount) []shelf.Count {
	var counts []shelf.Count
	for _, c := range top {
		counts = append(counts, shelf.Count{ID: c.Track, Plays: c.Plays})
	}
	return counts
}

// key is the row's key; an error is an ErrBadTrigger.
func (p *plan) key() (store.Key, error) {
	for _, d := range p.due {
		if d.asOf.UnixMilli() <= 0 || d.asOf.Year() > 9999 { // an absent time is 1970 on the wire
			return "", fmt.Errorf("%w: due shelf %q: last event: want a time after 1970 and before 10000", ErrBadTrigger, d.shelf)
		}
	}
	key, err := store.UserKey(p.user)
	if p.market != "" {
		key, err = store.MarketKey(p.market)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadTrigger, err)
	}
	return key, nil
}

func (p *plan) scope() shelf.Scope {
	if p.market != "" {
		return shelf.Market
	}
	return shelf.Listener
}
