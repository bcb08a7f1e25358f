package shelves

import (
	"context"
	"time"

	"homefeed/shelves/shelf"
)

// Discover is near the listener's taste and new to the listener.
var Discover = &shelf.Shelf{
	Name:  "discover",
	Doc:   "Tracks the listener never played, near what was played most in the last 30 days; two an artist at most.",
	Title: "Discover",
	On:    []shelf.Signal{{Kind: shelf.Played}},
	Guard: shelf.Guard{MaxCards: 20, Freshness: 15 * time.Second},
	Fill:  discover,
}

func discover(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	const (
		taste    = 50 // tracks
		ever     = 10_000
		anArtist = 2
	)
	counts, err := r.Plays.TopTracks(ctx, month, taste)
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	seeds := make([]shelf.Seed, len(counts))
	for i, c := range counts {
		seeds[i] = shelf.Seed{Track: c.ID, Weight: float32(c.Plays)}
	}
	plays, err := r.Plays.Recent(ctx, ever)
	if err != nil {
		return nil, err
	}
	near, err := r.Vectors.Nearest(ctx, seeds, 5*r.Guard.MaxCards, playIDs(plays))
	if err != nil {
		return nil, err
	}
	tracks, err := r.Tracks(ctx, neighbourIDs(near)...)
	if err != nil {
		return nil, err
	}
	cards, ofArtist := make([]shelf.Card, 0, r.Guard.MaxCards), map[string]int{}
	for _, t := range tracks {
		if ofArtist[t.Artist]++; ofArtist[t.Artist] <= anArtist && len(cards) < r.Guard.MaxCards {
			cards = append(cards, t.Card("Near what you play, and new to you"))
		}
	}
	return cards, nil
}
