package shelves

import (
	"context"
	"fmt"
	"time"

	"homefeed/shelves/shelf"
)

// month is the window of HeavyRotation: 30 days up to the request's as-of time, both ends included.
const month = 30 * 24 * time.Hour

// HeavyRotation is what the listener can't get enough of at the moment.
var HeavyRotation = &shelf.Shelf{
	Name:    "heavy_rotation",
	Doc:     "The tracks the listener played most in the last 30 days.",
	Title:   "On repeat",
	On:      []shelf.Signal{{Kind: shelf.Played}},
	Guard:   shelf.Guard{MaxCards: 20, Freshness: 5 * time.Second},
	Recalls: true,
	Fill:    heavyRotation,
}

func heavyRotation(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	// Most played first; of equals the one played last, then by id. Twice as many as fit, so that tracks gone
	// from the catalogue leave no gap.
	counts, err := r.Plays.TopTracks(ctx, month, 2*r.Guard.MaxCards)
	if err != nil {
		return nil, err
	}
	tracks, err := r.Catalog.Tracks(ctx, countIDs(counts)...)
	if err != nil {
		return nil, err
	}
	var cards []shelf.Card
	for _, c := range counts {
		if t, known := tracks[c.ID]; known {
			cards = append(cards, t.Card(fmt.Sprintf("Played %s in 30 days", times(c.Plays))))
		}
	}
	return cards, nil
}

// times is a number of plays in words.
func times(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
