package shelves

import (
	"context"
	"time"

	"homefeed/shelves/shelf"
)

// BecauseYouHearted answers a heart within seconds.
var BecauseYouHearted = &shelf.Shelf{
	Name:  "because_you_hearted",
	Doc:   "Tracks near the one the listener hearted last, without those hearted already.",
	Title: "Because you hearted {track}",
	On:    []shelf.Signal{{Kind: shelf.Hearted}},
	Guard: shelf.Guard{MaxCards: 20, Freshness: 2 * time.Second},
	Fill:  becauseYouHearted,
}

func becauseYouHearted(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
	hearts, err := r.Plays.Hearts(ctx, 100)
	if err != nil || len(hearts) == 0 {
		return nil, err
	}
	hearted := playIDs(hearts)
	newest, err := r.Tracks(ctx, hearted[:min(len(hearted), 5)]...)
	if err != nil {
		return nil, err
	}
	// One heart at a time, so that the title names the track that the cards are near to. The newest hearts are
	// often of new tracks, which the model has not learnt yet: then the next newest.
	for _, heart := range newest {
		near, err := r.Vectors.Nearest(ctx, []shelf.Seed{{Track: heart.ID}}, 2*r.Guard.MaxCards, hearted)
		if err != nil {
			return nil, err
		}
		tracks, err := r.Tracks(ctx, neighbourIDs(near)...)
		if err != nil {
			return nil, err
		}
		var cards []shelf.Card
		for _, t := range tracks {
			cards = append(cards, t.Card("Near "+heart.Title+", which you hearted"))
		}
		if len(cards) > 0 {
			r.Title("track", heart.Title)
			return cards, nil
		}
	}
	return nil, nil
}
