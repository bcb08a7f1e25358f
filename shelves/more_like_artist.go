package shelves

import (
	"context"
	"time"

	"homefeed/shelves/shelf"
)

// MoreLikeArtist follows the artist of the week to others that sound alike.
var MoreLikeArtist = &shelf.Shelf{
	Name:  "more_like_artist",
	Doc:   "Other artists' tracks near those of the artist the listener played most in the last 7 days.",
	Title: "More like {artist}",
	On:    []shelf.Signal{{Kind: shelf.Played}},
	Guard: shelf.Guard{MaxCards: 20, Freshness: 5 * time.Second},
	Fill:  moreLikeArtist,
}

func moreLikeArtist(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	const lately = 7 * 24 * time.Hour
	artists, err := r.Plays.TopArtists(ctx, lately, 1)
	if err != nil || len(artists) == 0 {
		return nil, err
	}
	counts, err := r.Plays.TopTracks(ctx, lately, 100)
	if err != nil {
		return nil, err
	}
	played, err := r.Catalog.Tracks(ctx, countIDs(counts)...)
	if err != nil {
		return nil, err
	}
	var seeds []shelf.Seed
	var name string
	for _, c := range counts {
		if t, known := played[c.ID]; known && t.Artist == artists[0].ID {
			seeds = append(seeds, shelf.Seed{Track: c.ID, Weight: float32(c.Plays)})
			name = t.ArtistName
		}
	}
	if len(seeds) == 0 {
		return nil, nil
	}
	r.Title("artist", name)
	// The nearest to an artist's tracks are often the artist's others, which are left out here.
	near, err := r.Vectors.Nearest(ctx, seeds, 5*r.Guard.MaxCards, nil)
	if err != nil {
		return nil, err
	}
	tracks, err := r.Tracks(ctx, neighbourIDs(near)...)
	if err != nil {
		return nil, err
	}
	cards, reason := make([]shelf.Card, 0, r.Guard.MaxCards), "Goes with "+name+", whom you play a lot"
	for _, t := range tracks {
		if t.Artist != artists[0].ID && len(cards) < r.Guard.MaxCards {
			cards = append(cards, t.Card(reason))
		}
	}
	return cards, nil
}
