package shelftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"homefeed/shelves/shelf"
)

// watch stands before the clients of one run. It notes what a shelf asks for, and can make one call fail.
type watch struct {
	mu       sync.Mutex
	calls    int
	failing  int // which call fails, from 1; 0: none
	asked    map[shelf.Kind]bool
	problems []error
}

// watched marks the context that a Fill was given.
type watched struct{}

var errInjected = errors.New("shelftest: this client call was made to fail")

// call notes one call; kind is what it is about, 0 for what no listener does.
func (w *watch) call(ctx context.Context, kind shelf.Kind, what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if kind != 0 {
		w.asked[kind] = true
	}
	if ctx.Value(watched{}) == nil {
		w.problems = append(w.problems, fmt.Errorf("%s is called with another context than Fill's: its deadline is not observed", what))
	}
	if w.calls == w.failing {
		return errInjected
	}
	return ctx.Err()
}

// atMost notes a call that asks for more than the interface allows.
func (w *watch) atMost(most, n int, what string) {
	if n < 1 || n > most {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.problems = append(w.problems, fmt.Errorf("%s is asked for %d: want 1 to %d", what, n, most))
	}
}

// deaf are the kinds that were asked about and that the shelf does not listen to.
func (w *watch) deaf(s *shelf.Shelf) []error {
	var deaf []error
	for i, name := range []string{"Played", "Followed", "Hearted"} {
		kind := shelf.Played + shelf.Kind(i)
		listens := slices.ContainsFunc(s.Signals(), func(sig shelf.Signal) bool { return sig.Kind == kind })
		if w.asked[kind] && !listens {
			deaf = append(deaf, fmt.Errorf("On lacks %s, which Fill asks about: want it there, or the shelf goes stale", name))
		}
	}
	return deaf
}

type watchedPlays struct {
	*watch
	shelf.SongsPlayed
}

func (w watchedPlays) Recent(ctx context.Context, n int) ([]shelf.Play, error) {
	w.atMost(10_000, n, "Plays.Recent")
	if err := w.call(ctx, shelf.Played, "Plays.Recent"); err != nil {
		return nil, err
	}
	return w.SongsPlayed.Recent(ctx, n)
}

func (w watchedPlays) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	w.atMost(1000, n, "Plays.TopTracks")
	if err := w.call(ctx, shelf.Played, "Plays.TopTracks"); err != nil {
		return nil, err
	}
	return w.SongsPlayed.TopTracks(ctx, since, n)
}

func (w watchedPlays) TopArtists(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	w.atMost(1000, n, "Plays.TopArtists")
	if err := w.call(ctx, shelf.Played, "Plays.TopArtists"); err != nil {
		return nil, err
	}
	return w.SongsPlayed.TopArtists(ctx, since, n)
}

func (w watchedPlays) Hearts(ctx context.Context, n int) ([]shelf.Play, error) {
	w.atMost(1000, n, "Plays.Hearts")
	if err := w.call(ctx, shelf.Hearted, "Plays.Hearts"); err != nil {
		return nil, err
	}
	return w.SongsPlayed.Hearts(ctx, n)
}

func (w watchedPlays) Follows(ctx context.Context, n int) ([]shelf.Follow, error) {
	w.atMost(1000, n, "Plays.Follows")
	if err := w.call(ctx, shelf.Followed, "Plays.Follows"); err != nil {
		return nil, err
	}
	return w.SongsPlayed.Follows(ctx, n)
}

type watchedVectors struct {
	*watch
	shelf.Word2Vec
}

func (w watchedVectors) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) ([]shelf.Neighbour, error) {
	w.atMost(100, len(seeds), "Vectors.Nearest, seeds,")
	w.atMost(1000, k, "Vectors.Nearest")
	w.atMost(10_000, max(1, len(exclude)), "Vectors.Nearest, exclude,")
	if err := w.call(ctx, 0, "Vectors.Nearest"); err != nil {
		return nil, err
	}
	return w.Word2Vec.Nearest(ctx, seeds, k, exclude)
}

type watchedCatalog struct {
	*watch
	shelf.Catalog
}

func (w watchedCatalog) Tracks(ctx context.Context, ids ...string) (map[string]*shelf.Track, error) {
	if err := w.call(ctx, 0, "Catalog.Tracks"); err != nil {
		return nil, err
	}
	return w.Catalog.Tracks(ctx, ids...)
}

func (w watchedCatalog) Artists(ctx context.Context, ids ...string) (map[string]shelf.Artist, error) {
	if err := w.call(ctx, 0, "Catalog.Artists"); err != nil {
		return nil, err
	}
	return w.Catalog.Artists(ctx, ids...)
}

func (w watchedCatalog) ArtistTracks(ctx context.Context, artist string, n int) ([]shelf.Track, error) {
	w.atMost(1000, n, "Catalog.ArtistTracks")
	if err := w.call(ctx, 0, "Catalog.ArtistTracks"); err != nil {
		return nil, err
	}
	return w.Catalog.ArtistTracks(ctx, artist, n)
}
