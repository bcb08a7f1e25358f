package ondemand_test

import (
	"context"
	"errors"
	"fmt"
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
	err, panics, hangs := m.err, m.panic, m.hang
	m.mu.Unlock()
	if panics {
		panic("boom")
	}
	took := time.Second
	if hangs {
		took = time.Hour
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return []store.Cell{{Shelf: shelves[0]}}, err
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

// TestWaitOnce holds that a listener does not wait again for what was begun and takes too long.
func TestWaitOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, &maker{hang: true}, ondemand.Options{Patience: time.Second})
		defer l.Close()
		for i, want := range []time.Duration{time.Second, 0, 0} {
			began := time.Now()
			if _, err := l.Make(t.Context(), "ann", []string{"discover"}); err == nil || time.Since(began) != want {
				t.Errorf("%d: %v after %v, want an error after %v", i, err, time.Since(began), want)
			}
		}
	})
}

// TestAway holds that nobody waits when makings fail or hang one after the other, that one at a time finds out whether
// they still do, and that all is as before when they don't.
func TestAway(t *testing.T) {
	for name, m := range map[string]*maker{"hang": {hang: true}, "fail": {err: errors.New("away")}, "panic": {panic: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, m, ondemand.Options{Patience: 1500 * time.Millisecond, Timeout: 2 * time.Second})
				defer l.Close()
				ask := func(user string) (err error, took time.Duration) {
					began := time.Now()
					_, err = l.Make(t.Context(), user, []string{"discover"})
					return err, time.Since(began)
				}
				for i := range 5 {
					if err, _ := ask(fmt.Sprint("before", i)); err == nil || errors.Is(err, ondemand.ErrAway) {
						t.Errorf("number %d: %v", i, err)
					}
				}
				time.Sleep(time.Second) // synctest's clock: what hung has ended
				asked := m.calls()
				for i := range 100 {
					if err, took := ask(fmt.Sprint("during", i)); !errors.Is(err, ondemand.ErrAway) || took > 0 {
						t.Fatalf("%v after %v", err, took)
					}
				}
				if synctest.Wait(); name != "panic" && m.calls() != asked+1 {
					t.Errorf("asked %d times at once to find out", m.calls()-asked)
				}
				time.Sleep(time.Minute)
				m.mend()
				_, _ = ask("finds out")
				time.Sleep(time.Minute)
				if err, _ := ask("after"); err != nil {
					t.Errorf("when all is well again: %v", err)
				}
			})
		})
	}
}

func (m *maker) calls() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.made {
		n += times
	}
	return n
}

func (m *maker) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.panic, m.hang = nil, false, false
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
