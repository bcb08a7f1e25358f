package shelves

import (
	"context"
	"time"

	"homefeed/shelves/shelf"
)

// RecentlyPlayed is the quickest way back: each track once, the newest first.
var RecentlyPlayed = &shelf.Shelf{
	Name:    "recently_played",
	Doc:     "The tracks the listener played last, each once, newest first.",
	Title:   "Recently played",
	On:      []shelf.Signal{{Kind: shelf.Played}},
	Guard:   shelf.Guard{MaxCards: 30, Freshness: 2 * time.Second},
	Recalls: true,
	Fill:    recentlyPlayed,
}

func recentlyPlayed(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	// Twice as many as fit, so that tracks gone from the catalogue leave no gap.
	plays, err := r.Plays.Recent(ctx, 2*r.Guard.MaxCards)
	if err != nil {
		return nil, err
	}
	tracks, err := r.Tracks(ctx, playIDs(plays)...)
	if err != nil {
		return nil, err
	}
	var cards []shelf.Card
	for _, t := range tracks {
		cards = append(cards, t.Card("You played this lately"))
	}
	return cards, nil
}
