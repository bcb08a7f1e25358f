package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/catalog"
	"homefeed/shelves/shelf"
)

// asked is a catalogue that knows ids which begin with k, and writes down what it is asked.
type asked struct {
	calls []string
	err   error
}

func (a *asked) Tracks(_ context.Context, ids ...string) (map[string]*shelf.Track, error) {
	return note(a, "tracks", ids, func(id string) *shelf.Track { return &shelf.Track{ID: id} })
}

func (a *asked) Artists(_ context.Context, ids ...string) (map[string]shelf.Artist, error) {
	return note(a, "artists", ids, func(id string) shelf.Artist { return shelf.Artist{ID: id} })
}

func note[T any](a *asked, what string, ids []string, entry func(string) T) (map[string]T, error) {
	a.calls = append(a.calls, fmt.Sprint(what, ids))
	if a.err != nil {
		return nil, a.err
	}
	known := map[string]T{}
	for _, id := range ids {
		if id[0] == 'k' {
			known[id] = entry(id)
		}
	}
	return known, nil
}

func (a *asked) ArtistTracks(_ context.Context, artist string, n int) ([]shelf.Track, error) {
	a.calls = append(a.calls, fmt.Sprint("artist's tracks ", artist, n))
	return []shelf.Track{{ID: "k1"}, {ID: "k2"}}[:n], a.err
}

func TestCache(t *testing.T) {
	ctx := t.Context()
	var now atomic.Int64 // seconds
	source := &asked{}
	c := catalog.NewCache(source, catalog.CacheOptions{For: time.Minute, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	tracks := func(ids ...string) {
		t.Helper()
		got, err := c.Tracks(ctx, ids...)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := (&asked{}).Tracks(ctx, ids...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Tracks(%q) (-want +got):\n%s", ids, diff)
		}
	}
	expect := func(calls ...string) {
		t.Helper()
		if diff := cmp.Diff(calls, source.calls); diff != "" {
			t.Errorf("what the catalogue is asked (-want +got):\n%s", diff)
		}
		source.calls = nil
	}
	tracks("k1", "gone")
	expect("tracks[k1 gone]")
	tracks("gone", "k1")
	expect()
	tracks("k1", "k2", "gone")
	expect("tracks[k2]")
	if got, err := c.Artists(ctx, "k1"); err != nil || len(got) != 1 {
		t.Errorf("Artists: %v, %v", got, err)
	}
	expect("artists[k1]") // a track's id is not an artist's

	for range 2 {
		list, err := c.ArtistTracks(ctx, "k1", 2)
		if err != nil || len(list) != 2 || list[0].ID != "k1" {
			t.Fatalf("ArtistTracks: %v, %v", list, err)
		}
		list[0].ID = "the caller's own"
	}
	expect("artist's tracks k12")

	now.Add(60)
	source.err = errors.New("away")
	if _, err := c.Tracks(ctx, "k1", "k2"); !errors.Is(err, source.err) {
		t.Errorf("after a minute: error %v, want that of the catalogue", err)
	}
	if _, err := c.ArtistTracks(ctx, "k1", 2); !errors.Is(err, source.err) {
		t.Errorf("after a minute: error %v, want that of the catalogue", err)
	}
	source.calls, source.err = nil, nil
	tracks("k1")
	expect("tracks[k1]") // a failure is not remembered
}
