package shelves

import (
	"context"
	"fmt"
	"time"

	"homefeed/shelves/shelf"
)

// Trending is the same for everybody in a market; the pipeline's windows count it.
var Trending = &shelf.Shelf{
	Name:  "trending",
	Doc:   "The tracks played most in the listener's market lately.",
	Title: "Trending now",
	Scope: shelf.Market,
	Guard: shelf.Guard{MaxCards: 20, GoodFor: time.Hour}, // the length of a window
	Fill:  trending,
}

func trending(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	where := "in " + r.Market
	if r.Market == shelf.World {
		where = "around the world"
	}
	tracks, err := r.Catalog.Tracks(ctx, countIDs(r.Top)...)
	if err != nil {
		return nil, err
	}
	var cards []shelf.Card
	for _, c := range r.Top {
		if t, known := tracks[c.ID]; known {
			cards = append(cards, t.Card(fmt.Sprintf("Played %s %s lately", times(c.Plays), where)))
		}
	}
	return cards, nil
}
