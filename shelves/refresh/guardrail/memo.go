package guardrail

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

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

type key struct {
	method string
	asOf   int64
	since  time.Duration
	n      int
	args   uint64 // a hash: a few calls are told apart, and lists of what to leave out are long
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
			grow(len(k.method))
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

// grow gives a new goroutine the stack that a call to a service in this process takes, at once. By itself it would grow
// by doubling on the way down and be copied each time, which took a fifteenth of the CPU of all refreshes.
//
//go:noinline
func grow(i int) byte {
	var room [12 << 10]byte
	room[i] = byte(i)
	return room[i/2]
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

// fewTracks is how many tracks are asked for by whoever wants some: the fewer of one time are the first of the more.
const fewTracks = 100

func (p plays) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	if n <= 0 {
		return nil, nil
	}
	first := func(counts []shelf.Count) []shelf.Count { return slices.Clone(counts[:min(n, len(counts))]) }
	most := max(n, fewTracks)
	return remember(ctx, p.m, key{method: "top tracks", asOf: p.asOf, since: since, n: most}, first,
		func(ctx context.Context) ([]shelf.Count, error) { return p.c.TopTracks(ctx, since, most) })
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
	args := hashOf(seeds, exclude)
	seeds, exclude = slices.Clone(seeds), slices.Clone(exclude) // the call may outlive the caller
	return remember(ctx, v.m, key{method: "nearest tracks", n: k, args: args}, slices.Clone,
		func(ctx context.Context) ([]shelf.Neighbour, error) { return v.c.Nearest(ctx, seeds, k, exclude) })
}

func hashOf(seeds []shelf.Seed, exclude []string) uint64 {
	var h xxhash.Digest
	h.Reset()
	var weight [5]byte // and a byte that ends the id: none has it
	for _, s := range seeds {
		_, _ = h.WriteString(s.Track) // never fails
		binary.LittleEndian.PutUint32(weight[1:], math.Float32bits(s.Weight))
		_, _ = h.Write(weight[:])
	}
	for _, id := range exclude {
		_, _ = h.Write([]byte{1})
		_, _ = h.WriteString(id)
	}
	return h.Sum64()
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
