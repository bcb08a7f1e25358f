package guardrail_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/shelves/refresh/guardrail"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
)

// counting is a client of everything that counts its calls, takes a second for each, and may fail.
type counting struct {
	shelf.SongsPlayed
	shelf.Word2Vec
	calls atomic.Int64
	fail  func()
}

func (c *counting) call(ctx context.Context) error {
	c.calls.Add(1)
	if c.fail != nil {
		c.fail()
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (c *counting) Recent(ctx context.Context, n int) ([]shelf.Play, error) {
	if err := c.call(ctx); err != nil {
		return nil, err
	}
	return c.SongsPlayed.Recent(ctx, n)
}

func (c *counting) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) ([]shelf.Neighbour, error) {
	if err := c.call(ctx); err != nil {
		return nil, err
	}
	return c.Word2Vec.Nearest(ctx, seeds, k, exclude)
}

func (c *counting) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	if err := c.call(ctx); err != nil {
		return nil, err
	}
	return c.SongsPlayed.TopTracks(ctx, since, n)
}

func newCounting() *counting {
	w := &shelftest.World{
		Plays:   shelftest.Played("mozart.k525", "haydn.h104"),
		Vectors: map[string][]float32{"mozart.k525": {1, 0}, "haydn.h104": {1, 1}},
	}
	return &counting{SongsPlayed: w.SongsPlayed(shelftest.Noon), Word2Vec: w.Word2Vec()}
}

func TestMemoAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounting()
		m := guardrail.NewMemo(t.Context())
		p, v := m.SongsPlayed(c, shelftest.Noon), m.Word2Vec(c)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				ps, err := p.Recent(t.Context(), 2)
				if err != nil || len(ps) != 2 {
					t.Errorf("recent: %v, %v", ps, err)
					return
				}
				ps[0].Track = "changed by a shelf" // everybody has a copy
				near, err := v.Nearest(t.Context(), []shelf.Seed{{Track: "mozart.k525"}}, 5, nil)
				if err != nil || len(near) != 1 {
					t.Errorf("nearest: %v, %v", near, err)
				}
			})
		}
		all.Wait()
		if got := c.calls.Load(); got != 2 || m.Calls() != 2 {
			t.Errorf("%d calls of 2 kinds: want 2", got)
		}
		if ps, err := p.Recent(t.Context(), 2); err != nil || ps[0].Track != "haydn.h104" {
			t.Errorf("later: got %v, %v", ps, err)
		}
	})
}

// TestMemoSharesTheTop holds that shelves which want some of the same top cost one call, and each gets what it wants.
func TestMemoSharesTheTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounting()
		p := guardrail.NewMemo(t.Context()).SongsPlayed(c, shelftest.Noon)
		for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 100: 2} {
			if counts, err := p.TopTracks(t.Context(), time.Hour, n); err != nil || len(counts) != want {
				t.Errorf("%d: got %v, %v; want %d", n, counts, err, want)
			}
		}
		if got := c.calls.Load(); got != 1 {
			t.Errorf("%d calls, want 1", got)
		}
		p.TopTracks(t.Context(), 2*time.Hour, 1) // of another time
		p.TopTracks(t.Context(), time.Hour, 101) // and more than is shared
		if got := c.calls.Load(); got != 3 {
			t.Errorf("%d calls, want 3", got)
		}
	})
}

func TestMemoKeepsWhatDiffersApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounting()
		m := guardrail.NewMemo(t.Context())
		ctx := t.Context()
		m.SongsPlayed(c, shelftest.Noon).Recent(ctx, 1)
		m.SongsPlayed(c, shelftest.Noon).Recent(ctx, 2)
		m.SongsPlayed(c, shelftest.Noon.Add(time.Millisecond)).Recent(ctx, 1)
		v := m.Word2Vec(c)
		v.Nearest(ctx, []shelf.Seed{{Track: "a"}}, 1, nil)
		v.Nearest(ctx, []shelf.Seed{{Track: "a", Weight: 2}}, 1, nil)
		v.Nearest(ctx, []shelf.Seed{{Track: "a"}}, 1, []string{"b"})
		v.Nearest(ctx, []shelf.Seed{{Track: "a"}, {Track: "b"}}, 1, nil)
		v.Nearest(ctx, []shelf.Seed{{Track: "ab"}}, 1, nil)
		v.Nearest(ctx, []shelf.Seed{{Track: "a"}}, 1, []string{"b", "c"})
		v.Nearest(ctx, []shelf.Seed{{Track: "a"}}, 1, []string{"bc"})
		if got := c.calls.Load(); got != 10 {
			t.Errorf("%d calls, want 10", got)
		}
	})
}

func TestMemoOutlivesTheShelfThatAsksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounting()
		p := guardrail.NewMemo(t.Context()).SongsPlayed(c, shelftest.Noon)
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := p.Recent(short, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hasty one: got %v", err)
		}
		if ps, err := p.Recent(t.Context(), 2); err != nil || len(ps) != 2 || c.calls.Load() != 1 {
			t.Errorf("the patient one: got %v, %v after %d calls; want both plays of the one call", ps, err, c.calls.Load())
		}
	})
}

func TestMemoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := guardrail.NewMemo(ctx).SongsPlayed(newCounting(), shelftest.Noon)
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := p.Recent(t.Context(), 2); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMemoTurnsAClientsPanicIntoAnError(t *testing.T) {
	c := newCounting()
	c.fail = func() { panic("oh dear") }
	_, err := guardrail.NewMemo(t.Context()).SongsPlayed(c, shelftest.Noon).Recent(t.Context(), 1)
	var p *guardrail.PanicError
	if !errors.As(err, &p) || !strings.HasPrefix(err.Error(), "recent plays: ") {
		t.Errorf("got %v", err)
	}
}

func TestNoListener(t *testing.T) {
	var p shelf.SongsPlayed = guardrail.NoListener{}
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	_, err := p.Recent(t.Context(), 1)
	add(err)
	_, err = p.TopTracks(t.Context(), 0, 1)
	add(err)
	_, err = p.TopArtists(t.Context(), 0, 1)
	add(err)
	_, err = p.Hearts(t.Context(), 1)
	add(err)
	_, err = p.Follows(t.Context(), 1)
	add(err)
	for i, err := range errs {
		if err == nil {
			t.Errorf("call %d: want an error", i)
		}
	}
}
