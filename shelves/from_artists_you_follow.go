package shelves

import (
	"context"
	"time"

	"homefeed/shelves/shelf"
)

// FromArtistsYouFollow gives every artist followed a turn.
var FromArtistsYouFollow = &shelf.Shelf{
	Name:  "from_artists_you_follow",
	Doc:   "Well-known tracks of the artists the listener follows, in turns, the artist followed last first.",
	Title: "From artists you follow",
	On:    []shelf.Signal{{Kind: shelf.Followed}},
	Guard: shelf.Guard{MaxCards: 20, Freshness: 2 * time.Second},
	Fill:  fromArtistsYouFollow,
}

func fromArtistsYouFollow(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	const artists = 10
	follows, err := r.Plays.Follows(ctx, artists)
	if err != nil {
		return nil, err
	}
	var byArtist [][]shelf.Track
	for _, f := range follows {
		tracks, err := r.Catalog.ArtistTracks(ctx, f.Artist, r.Guard.MaxCards)
		if err != nil {
			return nil, err
		}
		byArtist = append(byArtist, tracks)
	}
	var cards []shelf.Card
	for turn := range r.Guard.MaxCards {
		for _, tracks := range byArtist {
			if turn < len(tracks) {
				t := tracks[turn]
				cards = append(cards, t.Card("You follow "+t.ArtistName))
			}
		}
	}
	return cards, nil
}
