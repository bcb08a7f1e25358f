package rowcache_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/api/rowcache"
	"homefeed/shelves/store"
)

// TestAway holds that nobody waits for a store that hangs once that is known, and that everybody has their own row
// again soon after it is back.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{row: store.Row{Cells: []store.Cell{cell("seen")}}}
		c, key := newCache(t, s, rowcache.Options{Age: time.Millisecond})
		if got := data(t, c, key); got != "seen" {
			t.Fatal(got)
		}
		s.set(func(s *rows) { s.gate = make(chan struct{}) })
		const timeout = 300 * time.Millisecond
		waited := 0
		for range 50 {
			time.Sleep(20 * time.Millisecond)
			began := time.Now()
			row, err := c.Read(t.Context(), key, 1)
			if err == nil || len(row.Cells) != 1 {
				t.Fatalf("%v, %v: want the row last seen and an error", row, err)
			}
			if took := time.Since(began); took == timeout {
				waited++
			} else if took > 0 || !errors.Is(err, rowcache.ErrAway) {
				t.Fatalf("%v after %v", err, took)
			}
		}
		if waited != 5 {
			t.Errorf("%d reads waited for a store that hangs, want 5", waited)
		}
		s.set(func(s *rows) {
			if s.reads > 1+5+50*20/300+1 {
				t.Errorf("a store that hangs was asked %d times", s.reads)
			}
			close(s.gate)
			s.gate, s.row = nil, store.Row{Cells: []store.Cell{cell("new")}}
		})
		time.Sleep(timeout)
		_, _ = c.Read(t.Context(), key, 1) // finds out
		synctest.Wait()
		if got := data(t, c, key); got != "new" {
			t.Errorf("when the store is back: %q", got)
		}
	})
}

// TestAwayWhileReading holds that one read at a time finds out whether the store is back, and that this works also when
// whoever asks first finds a read of the row under way from before it was away.
func TestAwayWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{row: store.Row{Cells: []store.Cell{cell("a")}}, gate: make(chan struct{})}
		c, _ := newCache(t, s, rowcache.Options{Timeout: 300 * time.Millisecond})
		key := func(i int) store.Key {
			key, err := store.UserKey(fmt.Sprint("l", i))
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() { _, _ = c.Read(t.Context(), key(i), 1) })
			if i == 4 {
				time.Sleep(200 * time.Millisecond) // synctest's clock
			}
		}
		time.Sleep(150 * time.Millisecond) // five have failed, the sixth waits
		for i := 5; i < 20; i++ {
			began := time.Now()
			if _, err := c.Read(t.Context(), key(i), 1); !errors.Is(err, rowcache.ErrAway) || time.Since(began) > 0 {
				t.Errorf("while it is away: %v after %v", err, time.Since(began))
			}
		}
		synctest.Wait()
		if s.reads > 7 {
			t.Errorf("%d reads, want the six and one to find out", s.reads)
		}
		all.Wait()
		s.set(func(s *rows) { s.gate = nil })
		time.Sleep(time.Second) // what found out, in vain, has ended
		_, _ = c.Read(t.Context(), key(0), 1)
		synctest.Wait()
		if _, err := c.Read(t.Context(), key(1), 1); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}
