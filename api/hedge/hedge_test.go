package hedge_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homefeed/api/hedge"
	"homefeed/shelves/store"
)

// rows is a store whose reads do as behave says of the first, second, … of a key.
type rows struct {
	mu     sync.Mutex
	reads  map[store.Key]int
	all    int
	ended  int // reads whose context ended first
	behave func(nth int) (time.Duration, error)
}

func (s *rows) Read(ctx context.Context, key store.Key, _ int) (store.Row, error) {
	s.mu.Lock()
	if s.reads == nil {
		s.reads = map[store.Key]int{}
	}
	s.reads[key]++
	s.all++
	took, err := s.behave(s.reads[key])
	nth := s.reads[key]
	s.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
		return store.Row{}, ctx.Err()
	}
	return store.Row{Cells: []store.Cell{{Shelf: "s", AsOf: time.UnixMilli(int64(nth))}}}, err
}

func (s *rows) Write(context.Context, store.Key, ...store.Cell) error { return nil }
func (s *rows) Delete(context.Context, store.Key, time.Time) error    { return nil }

// usual is how long a read takes that is not late.
const usual = 10 * time.Millisecond

// warm is a Hedge that has seen 200 usual reads.
func warm(t *testing.T, s *rows, o hedge.Options) *hedge.Hedge {
	t.Helper()
	h, err := hedge.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	then := s.behave
	s.behave = func(int) (time.Duration, error) { return usual, nil }
	for range 200 {
		if _, err := h.Read(t.Context(), "warm", 1); err != nil {
			t.Fatal(err)
		}
	}
	s.behave, s.all, s.ended = then, 0, 0
	return h
}

func TestLateReads(t *testing.T) {
	away := errors.New("away")
	for _, c := range []struct {
		name   string
		behave func(nth int) (time.Duration, error)
		took   time.Duration
		reads  int
		answer int64 // of which read, 0: an error
		result string
		ended  int // reads that nobody needed any more
	}{
		{"in time", func(int) (time.Duration, error) { return usual, nil }, usual, 1, 1, "", 0},
		{"the first is late", func(nth int) (time.Duration, error) {
			if nth == 1 {
				return time.Second, nil
			}
			return usual, nil
		}, 2 * usual, 2, 2, "won", 1},
		{"the first is a little late", func(int) (time.Duration, error) { return usual * 3 / 2, nil }, usual * 3 / 2, 2, 1, "lost", 1},
		{"the first fails at once", func(int) (time.Duration, error) { return time.Millisecond, away }, time.Millisecond, 1, 0, "", 0},
		{"the first fails late", func(nth int) (time.Duration, error) {
			if nth == 1 {
				return usual * 3 / 2, away
			}
			return usual, nil
		}, 2 * usual, 2, 2, "won", 0},
		{"the second fails", func(nth int) (time.Duration, error) {
			if nth == 1 {
				return 3 * usual, nil
			}
			return time.Millisecond, away
		}, 3 * usual, 2, 1, "lost", 0},
		{"both fail", func(nth int) (time.Duration, error) { return usual * 3 / 2, away }, usual * 5 / 2, 2, 0, "lost", 0},
		{"the second panics", func(nth int) (time.Duration, error) {
			if nth == 1 {
				return 3 * usual, nil
			}
			panic("boom")
		}, 3 * usual, 2, 1, "lost", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewPedanticRegistry()
				s := &rows{behave: c.behave}
				h := warm(t, s, hedge.Options{Registerer: reg})
				began := time.Now()
				row, err := h.Read(t.Context(), "k", 1)
				took := time.Since(began).Truncate(time.Microsecond)
				if synctest.Wait(); took != c.took || s.all != c.reads || s.ended != c.ended {
					t.Errorf("%v, %d reads and %d cancelled, want %v, %d and %d", took, s.all, s.ended, c.took, c.reads, c.ended)
				}
				if c.answer == 0 && !errors.Is(err, away) || c.answer > 0 && (err != nil || row.Cells[0].AsOf.UnixMilli() != c.answer) {
					t.Errorf("%v, %v: want the answer of read %d", row, err, c.answer)
				}
				want := "# HELP homefeed_store_hedges_total Late reads, by what became of asking again: won, lost, or denied for want of a budget.\n" +
					"# TYPE homefeed_store_hedges_total counter\n"
				for _, result := range []string{"denied", "lost", "won"} {
					n := "0"
					if result == c.result {
						n = "1"
					}
					want += `homefeed_store_hedges_total{result="` + result + `"} ` + n + "\n"
				}
				if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBudget holds that a store that is slow for all gets no more than the budget's part of reads on top.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{behave: func(int) (time.Duration, error) { return time.Second, nil }}
		h := warm(t, s, hedge.Options{Budget: .05, Burst: 4})
		const reads = 60 // few enough that the second isn't the usual yet
		for range reads {
			if _, err := h.Read(t.Context(), "k", 1); err != nil {
				t.Fatal(err)
			}
		}
		if hedges := s.all - reads; hedges < 4 || hedges > 4+reads*5/100 {
			t.Errorf("%d hedges of %d reads, want 4 to %d", hedges, reads, 4+reads*5/100)
		}
		// What all reads take is not late.
		for range 400 {
			_, _ = h.Read(t.Context(), "k", 1)
		}
		s.all = 0
		for range 100 {
			_, _ = h.Read(t.Context(), "k", 1)
		}
		if s.all != 100 {
			t.Errorf("%d reads for 100 that take what they always do", s.all)
		}
	})
}

// TestColdReads holds that nothing is hedged before it is known what is late.
func TestColdReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{behave: func(int) (time.Duration, error) { return time.Minute, nil }}
		h, err := hedge.New(s, hedge.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := h.Read(t.Context(), "k", 1); err != nil {
				t.Fatal(err)
			}
		}
		if s.all != 100 {
			t.Errorf("%d reads, want 100", s.all)
		}
	})
}

// TestDeadline holds that a store that hangs is left at the caller's deadline, by both reads.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{behave: func(int) (time.Duration, error) { return time.Hour, nil }}
		h := warm(t, s, hedge.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := h.Read(ctx, "k", 1)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 300*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
		synctest.Wait()
		if s.all != 2 || s.ended != 2 {
			t.Errorf("%d reads, %d ended with the caller; want 2 and 2", s.all, s.ended)
		}
	})
}
