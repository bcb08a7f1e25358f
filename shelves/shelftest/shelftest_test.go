package shelftest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
)

var world = shelftest.World{
	Plays: shelftest.Played("mozart.k525", "haydn.h104"), Hearts: shelftest.Played("haydn.h104"), Follows: shelftest.Followed("haydn"),
	Vectors: map[string][]float32{"mozart.k525": {1, 0}, "haydn.h104": {1, 1}},
}

// timeout is what a shelf that hangs costs here, and far more than any other needs on a busy machine.
const timeout = 2 * time.Second

type fill = func(context.Context, *shelf.Request) ([]shelf.Card, error)

func shelfOf(f fill) *shelf.Shelf {
	return &shelf.Shelf{Name: "broken", Doc: "A shelf.", Title: "A shelf", Fill: f, Guard: shelf.Guard{Timeout: timeout}}
}

// card is a good card; each test breaks something else.
func card(id string) shelf.Card {
	return shelf.Card{URI: "track:" + id, Title: id, Subtitle: "somebody", Reason: "why not",
		Image: shelf.Image{Template: "/{size}", Alt: id}}
}

func TestExamineFinds(t *testing.T) {
	calls := 0
	for name, c := range map[string]struct {
		shelf *shelf.Shelf
		want  string
	}{
		"a bad declaration": {&shelf.Shelf{Name: "Bad name"}, "Name: want"},
		"a panic":           {shelfOf(func(context.Context, *shelf.Request) ([]shelf.Card, error) { panic("oh dear") }), "oh dear"},
		"a hang": {shelfOf(func(ctx context.Context, _ *shelf.Request) ([]shelf.Card, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), "no answer in time"},
		"an error": {shelfOf(func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, context.Canceled }), "context canceled"},
		"a card twice": {shelfOf(func(context.Context, *shelf.Request) ([]shelf.Card, error) {
			return []shelf.Card{card("a"), card("a")}, nil
		}), "on the shelf already"},
		"a bad URI": {shelfOf(func(context.Context, *shelf.Request) ([]shelf.Card, error) {
			return []shelf.Card{{URI: "song:a", Title: "A"}}, nil
		}), "uri: want track:<id> or artist:<id>"},
		"a card without a reason": {shelfOf(func(context.Context, *shelf.Request) ([]shelf.Card, error) {
			c := card("a")
			c.Reason = ""
			return []shelf.Card{c}, nil
		}), "want all of subtitle"},
		"a title without its value": {
			&shelf.Shelf{Name: "broken", Doc: "A shelf.", Title: "More like {artist}", Fill: func(context.Context, *shelf.Request) ([]shelf.Card, error) {
				return []shelf.Card{card("a")}, nil
			}}, "want a value for every name"},
		"an answer that varies": {shelfOf(func(context.Context, *shelf.Request) ([]shelf.Card, error) {
			calls++
			return []shelf.Card{card(strings.Repeat("a", calls))}, nil
		}), "gives something else"},
		"a kind not listened to": {shelfOf(func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
			_, err := r.Plays.Hearts(ctx, 5)
			return nil, err
		}), "On lacks Hearted"},
		"another context": {shelfOf(func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
			_, err := r.Plays.Recent(context.Background(), 5)
			return nil, err
		}), "another context"},
		"an error passed over": {shelfOf(func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
			r.Plays.Recent(ctx, 5)
			return []shelf.Card{card("a")}, nil
		}), "call 1 of a client failed"},
		"too much asked for": {shelfOf(func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
			_, err := r.Plays.TopTracks(ctx, 0, 5000)
			return nil, err
		}), "asked for 5000: want 1 to 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := shelftest.Examine(c.shelf, world)
			for _, p := range problems {
				if strings.Contains(p.Error(), c.want) {
					return
				}
			}
			t.Errorf("want a problem that mentions %q, got %v", c.want, problems)
		})
	}
}

func TestExamineFindsNothingWrongWithAGoodShelf(t *testing.T) {
	good := shelfOf(func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
		recent, err := r.Plays.Recent(ctx, 1)
		if err != nil {
			return nil, err
		}
		near, err := r.Vectors.Nearest(ctx, []shelf.Seed{{Track: recent[0].Track}}, 5, nil)
		if err != nil {
			return nil, err
		}
		artists, err := r.Catalog.Artists(ctx, "mozart", "nobody")
		if err != nil {
			return nil, err
		}
		return []shelf.Card{card(near[0].Track), card(artists["mozart"].ID)}, nil
	})
	shown, problems := shelftest.Examine(good, world)
	for _, p := range problems {
		t.Error(p)
	}
	shown.WantURIs(t, "track:mozart.k525", "track:mozart")
	if got, want := shown.String(), "A shelf\n  1  track:mozart.k525  mozart.k525  somebody  why not\n"; !strings.HasPrefix(got, want) {
		t.Errorf("table: got\n%s\nwant it to begin\n%s", got, want)
	}
}

func TestNearestIsTheMeanOfTheSeedsUnitVectors(t *testing.T) {
	w := shelftest.World{Vectors: map[string][]float32{
		"a": {100, 0}, "b": {0, 1}, "between": {1, 1}, "more_a": {2, 1}, "more_b": {1, 2},
	}}
	near, err := w.Word2Vec().Nearest(t.Context(), []shelf.Seed{{Track: "a"}, {Track: "b"}, {Track: "unknown"}}, 1, nil)
	if err != nil || len(near) != 1 || near[0].Track != "between" || near[0].Similarity < 0.999 {
		t.Errorf("equal weights: got %v, %v; want between, alone", near, err)
	}
	near, err = w.Word2Vec().Nearest(t.Context(), []shelf.Seed{{Track: "a", Weight: 2}, {Track: "b"}}, 2, []string{"between"})
	if err != nil || len(near) != 2 || near[0].Track != "more_a" || near[1].Track != "more_b" {
		t.Errorf("weight 2 for a, between excluded: got %v, %v; want more_a, more_b", near, err)
	}
}
