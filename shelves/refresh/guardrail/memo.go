package guardrail

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"homefeed/shelves/shelf"
)

// Memo remembers the answers of clients for as long as one trigger is worked on, so that shelves which ask the
// same thing pay once, and see the same answer. Failures are remembered too: a retry brings a new Memo.
type Memo struct {
	// Calls run under the trigger's context and not under that of the shelf which happens to ask first: its
	// deadline is no reason for the others to fail.
	ctx   context.Context
	mu    sync.Mutex
	calls map[key]*call
}

// NewMemo makes an empty Memo. Its calls, each a goroutine, end with ctx at the latest.
func NewMemo(ctx context.Context) *Memo {
	return &Memo{ctx: ctx, calls: map[key]*call{}}
}

// Calls is how many distinct calls were made.
func (m *Memo) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.calls)
}

// SongsPlayed remembers the answers of c, which speaks of one listener as of asOf.
func (m *Memo) SongsPlayed(c shelf.SongsPlayed, asOf time.Time) shelf.SongsPlayed {
	return plays{m, c, asOf.UnixMilli()}
}

// Word2Vec remembers the answers of c.
func (m *Memo) Word2Vec(c shelf.Word2Vec) shelf.Word2Vec { return vectors{m, c} }

// Catalog remembers the answers of c.
func (m *Memo) Catalog(c shelf.Catalog) shelf.Catalog { return catalog{m, c} }

type key struct {
	method string
	asOf   int64
	since  time.Duration
	n      int
	args   string
}

type call struct {
	done  chan struct{}
	value any // set before done is closed
	err   error
}

// remember makes the call of a key once; whoever asks again waits for its answer. Every caller gets a copy.
func remember[T any](ctx context.Context, m *Memo, k key, clone func(T) T, ask func(context.Context) (T, error)) (T, error) {
	m.mu.Lock()
	c, asked := m.calls[k]
	if !asked {
		c = &call{done: make(chan struct{})}
		m.calls[k] = c
		go func() {
			defer close(c.done)
			defer func() {
				if v := recover(); v != nil {
					c.err = &PanicError{v, debug.Stack()}
				}
			}()
			c.value, c.err = ask(m.ctx)
		}()
	}
	m.mu.Unlock()
	var none T
	select {
	case <-c.done:
	case <-ctx.Done():
		return none, fmt.Errorf("%s: %w", k.method, ctx.Err())
	}
	if c.err != nil {
		return none, fmt.Errorf("%s: %w", k.method, c.err)
	}
	return clone(c.value.(T)), nil
}

type plays struct {
	m    *Memo
	c    shelf.SongsPlayed
	asOf int64
}

func (p plays) Recent(ctx context.Context, n int) ([]shelf.Play, error) {
	return remember(ctx, p.m, key{method: "recent plays", asOf: p.asOf, n: n}, slices.Clone,
		func(ctx context.Context) ([]shelf.Play, error) { return p.c.Recent(ctx, n) })
}

func (p plays) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	return remember(ctx, p.m, key{method: "top tracks", asOf: p.asOf, since: since, n: n}, slices.Clone,
		func(ctx context.Context) ([]shelf.Count, error) { return p.c.TopTracks(ctx, since, n) })
}

func (p plays) TopArtists(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	return remember(ctx, p.m, key{method: "top artists", asOf: p.asOf, since: since, n: n}, slices.Clone,
		func(ctx context.Context) ([]shelf.Count, error) { return p.c.TopArtists(ctx, since, n) })
}

func (p plays) Hearts(ctx context.Context, n int) ([]shelf.Play, error) {
	return remember(ctx, p.m, key{method: "hearts", asOf: p.asOf, n: n}, slices.Clone,
		func(ctx context.Context) ([]shelf.Play, error) { return p.c.Hearts(ctx, n) })
}

func (p plays) Follows(ctx context.Context, n int) ([]shelf.Follow, error) {
	return remember(ctx, p.m, key{method: "follows", asOf: p.asOf, n: n}, slices.Clone,
		func(ctx context.Context) ([]shelf.Follow, error) { return p.c.Follows(ctx, n) })
}

type vectors struct {
	m *Memo
	c shelf.Word2Vec
}

func (v vectors) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) ([]shelf.Neighbour, error) {
	args := fmt.Sprint(seeds) + "\n" + strings.Join(exclude, "\n")
	seeds, exclude = slices.Clone(seeds), slices.Clone(exclude) // the call may outlive the caller
	return remember(ctx, v.m, key{method: "nearest tracks", n: k, args: args}, slices.Clone,
		func(ctx context.Context) ([]shelf.Neighbour, error) { return v.c.Nearest(ctx, seeds, k, exclude) })
}

type catalog struct {
	m *Memo
	c shelf.Catalog
}

func (c catalog) Tracks(ctx context.Context, ids ...string) (map[string]shelf.Track, error) {
	if len(ids) == 0 {
		return map[string]shelf.Track{}, nil
	}
	ids = slices.Clone(ids) // the call may outlive the caller
	return remember(ctx, c.m, key{method: "tracks", args: strings.Join(ids, "\n")}, maps.Clone,
		func(ctx context.Context) (map[string]shelf.Track, error) { return c.c.Tracks(ctx, ids...) })
}

func (c catalog) Artists(ctx context.Context, ids ...string) (map[string]shelf.Artist, error) {
	if len(ids) == 0 {
		return map[string]shelf.Artist{}, nil
	}
	ids = slices.Clone(ids)
	return remember(ctx, c.m, key{method: "artists", args: strings.Join(ids, "\n")}, maps.Clone,
		func(ctx context.Context) (map[string]shelf.Artist, error) { return c.c.Artists(ctx, ids...) })
}

func (c catalog) ArtistTracks(ctx context.Context, artist string, n int) ([]shelf.Track, error) {
	return remember(ctx, c.m, key{method: "tracks of artist", n: n, args: artist}, slices.Clone,
		func(ctx context.Context) ([]shelf.Track, error) { return c.c.ArtistTracks(ctx, artist, n) })
}

// NoListener answers for a market's shelf, which has no listener: every call is an error that says so.
type NoListener struct{}

var errNoListener = fmt.Errorf("a market's shelf has no listener: want Request.Top")

// Recent is an error.
func (NoListener) Recent(context.Context, int) ([]shelf.Play, error) { return nil, errNoListener }

// TopTracks is an error.
func (NoListener) TopTracks(context.Context, time.Duration, int) ([]shelf.Count, error) {
	return nil, errNoListener
}

// TopArtists is an error.
func (NoListener) TopArtists(context.Context, time.Duration, int) ([]shelf.Count, error) {
	return nil, errNoListener
}

// Hearts is an error.
func (NoListener) Hearts(context.Context, int) ([]shelf.Play, error) { return nil, errNoListener }

// Follows is an error.
func (NoListener) Follows(context.Context, int) ([]shelf.Follow, error) { return nil, errNoListener }
