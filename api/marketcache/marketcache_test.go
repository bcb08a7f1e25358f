package marketcache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/api/marketcache"
	"homefeed/shelves/store"
)

// marketStore answers with the number of the read as the cell's data.
type marketStore struct {
	reads atomic.Int64
	err   atomic.Pointer[error]
	takes time.Duration
}

func (s *marketStore) read(ctx context.Context, _ store.Key) (store.Row, error) {
	n := s.reads.Add(1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return store.Row{}, ctx.Err()
	}
	if err := s.err.Load(); err != nil {
		return store.Row{}, *err
	}
	return store.Row{Cells: []store.Cell{{Shelf: "trending", Data: []byte{byte(n)}}}}, nil
}

func generation(t *testing.T, m *marketcache.Cache) int {
	t.Helper()
	row, err := m.Get(t.Context(), "m#001")
	if err != nil {
		t.Fatal(err)
	}
	return int(row.Cells[0].Data[0])
}

// TestReadOnce holds that many Homes at once make one read, and that later ones never wait for one.
func TestReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &marketStore{takes: 100 * time.Millisecond}
		m := marketcache.New(time.Second, time.Now, s.read)
		defer m.Close()
		for range 10 {
			go m.Get(t.Context(), "m#001")
		}
		if got := generation(t, m); got != 1 || s.reads.Load() != 1 {
			t.Errorf("generation %d after %d reads, want 1 after 1", got, s.reads.Load())
		}
		time.Sleep(1100 * time.Millisecond) // fake: it only moves the clock of this bubble
		before := time.Now()
		for range 10 {
			if got := generation(t, m); got != 1 {
				t.Errorf("generation %d while it is read again, want 1", got)
			}
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("a Home waited %v for a market's row", waited)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := generation(t, m); got != 2 || s.reads.Load() != 2 {
			t.Errorf("generation %d after %d reads, want 2 after 2", got, s.reads.Load())
		}
		time.Sleep(time.Hour)
		if got := generation(t, m); got != 3 {
			t.Errorf("generation %d after an hour without a Home, want 3: an old row is not shown", got)
		}
	})
}

func TestWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &marketStore{}
		m := marketcache.New(time.Second, time.Now, s.read)
		defer m.Close()
		away := errors.New("away")
		s.err.Store(&away)
		for range 10 {
			if _, err := m.Get(t.Context(), "m#001"); !errors.Is(err, away) {
				t.Errorf("err = %v, want the store's", err)
			}
		}
		if n := s.reads.Load(); n != 1 {
			t.Errorf("%d reads of a store that had just failed, want 1", n)
		}
		s.err.Store(nil)
		time.Sleep(1100 * time.Millisecond)
		if got := generation(t, m); got != 2 {
			t.Errorf("generation %d, want 2", got)
		}
		s.err.Store(&away)
		for range 10 {
			time.Sleep(1100 * time.Millisecond)
			if got := generation(t, m); got != 2 {
				t.Errorf("generation %d, want 2: the older row stays", got)
			}
			synctest.Wait()
		}
	})
}

func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &marketStore{takes: time.Hour}
		m := marketcache.New(time.Second, time.Now, s.read)
		failed := make(chan error)
		go func() {
			_, err := m.Get(t.Context(), "m#001")
			failed <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Get(ctx, "m#001"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want the caller's deadline", err)
		}
		m.Close()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want the end of the read", err)
		}
		if _, err := m.Get(t.Context(), "m#SE"); !errors.Is(err, marketcache.ErrClosed) {
			t.Errorf("err = %v, want marketcache.ErrClosed", err)
		}
		s.takes = 0
		kept := marketcache.New(time.Second, time.Now, s.read)
		want := generation(t, kept)
		kept.Close()
		time.Sleep(2 * time.Second)
		if got := generation(t, kept); got != want {
			t.Errorf("generation %d after Close, want %d: what was read stays", got, want)
		}
		panics := marketcache.New(time.Second, time.Now, func(context.Context, store.Key) (store.Row, error) { panic("boom") })
		defer panics.Close()
		if _, err := panics.Get(t.Context(), "m#001"); err == nil {
			t.Error("a store that panics is no error")
		}
	})
}
