package ondemand_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/api/ondemand"
	"homefeed/shelves/store"
)

// maker takes a second, or for ever.
type maker struct {
	mu    sync.Mutex
	made  map[string]int
	err   error
	panic bool
	hang  bool
}

func (m *maker) Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error) {
	m.mu.Lock()
	if m.made == nil {
		m.made = map[string]int{}
	}
	m.made[user]++
	m.mu.Unlock()
	if m.panic {
		panic("boom")
	}
	took := time.Second
	if m.hang {
		took = time.Hour
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return []store.Cell{{Shelf: shelves[0]}}, m.err
}

func newLimiter(t *testing.T, m ondemand.Maker, o ondemand.Options) *ondemand.Limiter {
	t.Helper()
	l, err := ondemand.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSingleFlight holds that a listener is made once for all who wait, and left alone for a while then.
func TestSingleFlight(t *testing.T) {
	m := &maker{}
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, m, ondemand.Options{Patience: time.Minute})
		defer l.Close()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				cells, err := l.Make(t.Context(), "ann", []string{"discover"})
				if err != nil || len(cells) != 1 || cells[0].Shelf != "discover" {
					t.Errorf("%v, %v", cells, err)
				}
			})
		}
		all.Wait()
		if _, err := l.Make(t.Context(), "ann", []string{"discover"}); !errors.Is(err, ondemand.ErrPaused) {
			t.Errorf("a moment later: %v", err)
		}
	})
	if m.made["ann"] != 1 {
		t.Errorf("made %d times", m.made["ann"])
	}
}

// TestPatience holds that whoever waits goes after a while, and that what was begun is ended by its own deadline.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, &maker{hang: true}, ondemand.Options{Patience: time.Second, Timeout: time.Minute, Concurrent: 1})
		began := time.Now()
		_, err := l.Make(t.Context(), "ann", []string{"discover"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := l.Make(t.Context(), "bob", []string{"discover"}); !errors.Is(err, ondemand.ErrBusy) {
			t.Errorf("beside one that is being made: %v", err)
		}
		time.Sleep(time.Minute) // synctest's clock
		if _, err := l.Make(t.Context(), "bob", []string{"discover"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after it: %v", err)
		}
		l.Close() // ends what hangs
		if _, err := l.Make(t.Context(), "eve", []string{"discover"}); err == nil {
			t.Error("made after Close")
		}
	})
}

func TestFailures(t *testing.T) {
	away := errors.New("away")
	l := newLimiter(t, &maker{err: away}, ondemand.Options{Patience: time.Minute})
	defer l.Close()
	if _, err := l.Make(t.Context(), "ann", []string{"discover"}); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	l = newLimiter(t, &maker{panic: true}, ondemand.Options{Patience: time.Minute})
	defer l.Close()
	if _, err := l.Make(t.Context(), "ann", []string{"discover"}); err == nil {
		t.Error("a panic is no error")
	}
}
