package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"homefeed/shelves/refresh"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
)

// silent knows a listener who did nothing, or nobody at all.
type silent struct{ err error }

func (s silent) Recent(context.Context, int) ([]shelf.Play, error) { return nil, s.err }
func (s silent) Hearts(context.Context, int) ([]shelf.Play, error) { return nil, s.err }
func (s silent) Follows(context.Context, int) ([]shelf.Follow, error) {
	return nil, s.err
}
func (s silent) TopTracks(context.Context, time.Duration, int) ([]shelf.Count, error) {
	return nil, s.err
}
func (s silent) TopArtists(context.Context, time.Duration, int) ([]shelf.Count, error) {
	return nil, s.err
}

// TestMake makes a newcomer's shelves as of the newest event, and stores them.
func TestMake(t *testing.T) {
	f := newFixture()
	r := f.runner(t)
	cells, err := r.Make(t.Context(), "ann", []string{"recently_played", "no_such_shelf"})
	if err != nil || len(cells) != 1 || cells[0].Shelf != "recently_played" || !cells[0].AsOf.Equal(shelftest.Noon) {
		t.Fatalf("%v, %v; want recently_played as of %v", cells, err, shelftest.Noon)
	}
	if row := f.row(t, "ann"); len(row) != 1 {
		t.Errorf("stored: %v", row)
	}
}

// TestMakeIsAsOfWhatTheShelfListensTo: the row is the one that the pipeline would have made, or none.
func TestMakeIsAsOfWhatTheShelfListensTo(t *testing.T) {
	listening := func(kind shelf.Kind) *shelf.Shelf {
		s := filling(fmt.Sprintf("on_%d", kind), func(context.Context, *shelf.Request) ([]shelf.Card, error) { return oneCard, nil })
		s.On = []shelf.Signal{{Kind: kind}}
		return s
	}
	f := newFixture(listening(shelf.Hearted), listening(shelf.Followed))
	heart := shelftest.Noon.Add(-time.Hour)
	f.cfg.Plays = func(string, time.Time) shelf.SongsPlayed { return hearted{at: heart} }
	cells, err := f.runner(t).Make(t.Context(), "ann", []string{fmt.Sprintf("on_%d", shelf.Followed), fmt.Sprintf("on_%d", shelf.Hearted)})
	if err != nil || len(cells) != 1 || !cells[0].AsOf.Equal(heart) {
		t.Errorf("%v, %v; want the shelf of hearts alone, as of %v", cells, err, heart)
	}
}

// hearted knows one heart, long ago, and a play that is newer.
type hearted struct {
	silent
	at time.Time
}

func (h hearted) Recent(context.Context, int) ([]shelf.Play, error) {
	return []shelf.Play{{Track: "mozart.k525", Time: h.at.Add(time.Minute)}}, nil
}
func (h hearted) Hearts(context.Context, int) ([]shelf.Play, error) {
	return []shelf.Play{{Track: "mozart.k525", Time: h.at}}, nil
}

func TestMakeOfNothing(t *testing.T) {
	away := errors.New("away")
	for name, plays := range map[string]silent{"no events": {}, "songs-played away": {away}} {
		f := newFixture()
		f.cfg.Plays = func(string, time.Time) shelf.SongsPlayed { return plays }
		r, err := refresh.New(f.cfg)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := r.Make(t.Context(), "ann", []string{"recently_played"})
		if len(cells) > 0 || !errors.Is(err, plays.err) || f.store.writeCount() > 0 {
			t.Errorf("%s: %v, %v", name, cells, err)
		}
	}
}
