package shelves

import (
	"context"
	"fmt"
	"time"

	"homefeed/shelves/shelf"
)

// JumpBackIn brings back what was loved once and then forgotten.
var JumpBackIn = &shelf.Shelf{
	Name:    "jump_back_in",
	Doc:     "Tracks the listener played at least 5 times, but not in the last 14 days; most played first.",
	Title:   "Jump back in",
	On:      []shelf.Signal{{Kind: shelf.Played}},
	Guard:   shelf.Guard{MaxCards: 20, Freshness: 15 * time.Second},
	Recalls: true,
	Fill:    jumpBackIn,
}

func jumpBackIn(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	const (
		loved = 5 // plays
		away  = 14 * 24 * time.Hour
	)
	counts, err := r.Plays.TopTracks(ctx, 0, 1000)
	if err != nil {
		return nil, err
	}
	var missed []shelf.Count
	for _, c := range counts {
		if c.Plays >= loved && c.Last.Before(r.AsOf.Add(-away)) {
			missed = append(missed, c)
		}
	}
	missed = missed[:min(len(missed), 2*r.Guard.MaxCards)]
	tracks, err := r.Catalog.Tracks(ctx, countIDs(missed)...)
	if err != nil {
		return nil, err
	}
	var cards []shelf.Card
	for _, c := range missed {
		if t, known := tracks[c.ID]; known {
			days := int(r.AsOf.Sub(c.Last) / (24 * time.Hour))
			cards = append(cards, t.Card(fmt.Sprintf("Played %d times, but not for %d days", c.Plays, days)))
		}
	}
	return cards, nil
}
