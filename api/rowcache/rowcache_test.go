package rowcache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/rowcache"
	"homefeed/shelves/store"
)

// rows is a store of one row that can fail, wait and count.
type rows struct {
	mu    sync.Mutex
	row   store.Row
	reads int
	err   error
	gate  chan struct{} // a read takes the row, and waits here before it answers

	writeGate chan struct{} // a write changes the row, and waits here before it returns
}

func (s *rows) Read(ctx context.Context, _ store.Key, _ int) (store.Row, error) {
	s.mu.Lock()
	s.reads++
	row, err, gate := s.row, s.err, s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return store.Row{}, ctx.Err()
		}
	}
	return row, err
}

func (s *rows) Write(_ context.Context, _ store.Key, cells ...store.Cell) error {
	s.mu.Lock()
	s.row = store.Row{Cells: cells}
	err, gate := s.err, s.writeGate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return err
}

func (s *rows) Delete(_ context.Context, _ store.Key, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.row = store.Row{DeletedAt: at}
	return nil
}

func (s *rows) set(change func(*rows)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func cell(data string) store.Cell {
	return store.Cell{Shelf: "a", AsOf: time.UnixMilli(1), Data: []byte(data)}
}

func newCache(t *testing.T, s *rows, o rowcache.Options) (*rowcache.Cache, store.Key) {
	t.Helper()
	c, err := rowcache.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	key, err := store.UserKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func data(t *testing.T, c *rowcache.Cache, key store.Key) string {
	t.Helper()
	row, err := c.Read(t.Context(), key, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(row.Cells) == 0 {
		return ""
	}
	return string(row.Cells[0].Data)
}

func TestAge(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &rows{row: store.Row{Cells: []store.Cell{cell("old")}}}
	c, key := newCache(t, s, rowcache.Options{Age: time.Second, Now: func() time.Time { return now }})
	data(t, c, key)
	s.set(func(s *rows) { s.row = store.Row{Cells: []store.Cell{cell("new")}} }) // by another process
	now = now.Add(time.Second)
	if got := data(t, c, key); got != "old" || s.reads != 1 {
		t.Errorf("within its age: %s in %d reads", got, s.reads)
	}
	now = now.Add(1)
	if got := data(t, c, key); got != "new" || s.reads != 2 {
		t.Errorf("beyond its age: %s in %d reads", got, s.reads)
	}
}

// TestOwnWrites holds that what is written or deleted through the cache is seen by the next read, as a store would show
// it, and that a write costs no read.
func TestOwnWrites(t *testing.T) {
	at := func(shelf string, ms int64, data string) store.Cell {
		return store.Cell{Shelf: shelf, AsOf: time.UnixMilli(ms), Data: []byte(data)}
	}
	s := &rows{row: store.Row{Cells: []store.Cell{at("b", 5, "b5"), at("d", 5, "d5")}, DeletedAt: time.UnixMilli(3)}}
	c, key := newCache(t, s, rowcache.Options{Age: time.Hour})
	data(t, c, key)
	before, _ := c.Peek(key, time.Now())
	for _, cells := range [][]store.Cell{
		{at("a", 4, "a4"), at("c", 3, "erased"), at("d", 4, "older")},
		{at("b", 5, "again"), at("b", 5, "and again"), at("e", 6, "e6")},
	} {
		if err := c.Write(t.Context(), key, cells...); err != nil {
			t.Fatal(err)
		}
	}
	want := store.Row{
		Cells:     []store.Cell{at("a", 4, "a4"), at("b", 5, "and again"), at("d", 5, "d5"), at("e", 6, "e6")},
		DeletedAt: time.UnixMilli(3),
	}
	if got, err := c.Read(t.Context(), key, 1); err != nil || !cmp.Equal(got, want) || s.reads != 1 {
		t.Errorf("after writes, in %d reads, %v: %s", s.reads, err, cmp.Diff(want, got))
	}
	if len(before.Cells) != 2 || string(before.Cells[0].Data) != "b5" {
		t.Errorf("a row that was read has changed: %v", before)
	}
	if err := c.Delete(t.Context(), key, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if got := data(t, c, key); got != "" {
		t.Errorf("after a delete: %q", got)
	}
}

// TestOutline holds that the outline of a row is that of the row, that it is read once, and that neither a row in memory
// nor an outline needs the other.
func TestOutline(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(shelf string, ms int64, data string) store.Cell {
		return store.Cell{Shelf: shelf, AsOf: time.UnixMilli(ms), Data: []byte(data)}
	}
	s := &rows{row: store.Row{Cells: []store.Cell{at("b", 5, "b5")}, DeletedAt: time.UnixMilli(3)}}
	c, key := newCache(t, s, rowcache.Options{Age: time.Minute, Now: func() time.Time { return now }})
	for _, step := range []struct {
		name  string
		do    func() error
		cells []store.Cell
		reads int
	}{
		{"first", func() error { return nil }, []store.Cell{at("b", 5, "")}, 1},
		{"again", func() error { return nil }, []store.Cell{at("b", 5, "")}, 1},
		{"after a write", func() error {
			return c.Write(t.Context(), key, at("b", 4, "late"), at("c", 3, "erased"), at("d", 6, "d6"))
		},
			[]store.Cell{at("b", 5, ""), at("d", 6, "")}, 1},
		{"after a write that failed", func() error {
			s.set(func(s *rows) { s.err = errors.New("timeout") })
			if err := c.Write(t.Context(), key, at("e", 7, "e7")); err == nil {
				t.Error("the store's error is lost")
			}
			s.set(func(s *rows) { s.err = nil })
			return nil
		}, []store.Cell{at("e", 7, "")}, 2},
		{"of another's write", func() error {
			s.set(func(s *rows) { s.row = store.Row{Cells: []store.Cell{at("f", 8, "f8")}} })
			return nil
		}, []store.Cell{at("e", 7, "")}, 2},
		{"beyond its age", func() error { now = now.Add(time.Minute + 1); return nil }, []store.Cell{at("f", 8, "")}, 3},
		{"after a delete", func() error { return c.Delete(t.Context(), key, time.Unix(1, 0)) }, nil, 4},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		got, err := c.Outline(t.Context(), key)
		equal := cmp.Comparer(func(a, b store.Cell) bool { return a.Shelf == b.Shelf && a.AsOf.Equal(b.AsOf) })
		if diff := cmp.Diff(step.cells, got.Cells, equal); diff != "" || err != nil || s.reads != step.reads {
			t.Errorf("%s: %v, in %d reads, want %d (-want +got):\n%s", step.name, err, s.reads, step.reads, diff)
		}
		for _, cell := range got.Cells {
			if cell.Data != nil {
				t.Errorf("%s: data in an outline", step.name)
			}
		}
	}
	if _, ok := c.Peek(key, time.Now()); ok {
		t.Error("an outline brought a row")
	}
}

// TestFailedWrite holds that after a write of which nobody knows what became, the store is asked.
func TestFailedWrite(t *testing.T) {
	s := &rows{row: store.Row{Cells: []store.Cell{cell("old")}}}
	c, key := newCache(t, s, rowcache.Options{Age: time.Hour})
	data(t, c, key)
	s.set(func(s *rows) { s.err = errors.New("timeout") })
	if err := c.Write(t.Context(), key, cell("new")); err == nil {
		t.Fatal("the store's error is lost")
	}
	s.set(func(s *rows) { s.err = nil })
	if got := data(t, c, key); got != "new" {
		t.Errorf("after a write that the store has, though it failed: %q", got)
	}
}

// TestWritesAtOnce holds that of two writes at a time neither is taken for the last.
func TestWritesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{row: store.Row{Cells: []store.Cell{cell("old")}}}
		c, key := newCache(t, s, rowcache.Options{Age: time.Hour})
		data(t, c, key)
		gate := make(chan struct{})
		s.set(func(s *rows) { s.writeGate = gate })
		first := make(chan error)
		go func() { first <- c.Write(t.Context(), key, cell("first")) }()
		synctest.Wait()
		s.set(func(s *rows) { s.writeGate = nil })
		if err := c.Write(t.Context(), key, cell("second")); err != nil {
			t.Fatal(err)
		}
		close(gate) // the first one is in the store by now, and the last to return
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if got := data(t, c, key); got != "second" {
			t.Errorf("got %q, want what the store has", got)
		}
	})
}

// TestReadAcrossAWrite holds that a read from before a write, which answers after it, is neither kept nor given to
// those who ask after the write.
func TestReadAcrossAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &rows{row: store.Row{Cells: []store.Cell{cell("old")}}, gate: gate}
		c, key := newCache(t, s, rowcache.Options{Age: time.Hour, Timeout: time.Hour})
		first := make(chan string)
		go func() { first <- data(t, c, key) }()
		synctest.Wait()
		s.set(func(s *rows) { s.gate = nil })
		if err := c.Write(t.Context(), key, cell("new")); err != nil {
			t.Fatal(err)
		}
		if got := data(t, c, key); got != "new" {
			t.Errorf("asked after the write: %q", got)
		}
		close(gate)
		<-first
		if got := data(t, c, key); got != "new" {
			t.Errorf("after the older read has answered: %q", got)
		}
	})
}

// TestSingleFlight holds that many who ask at once cost one read.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &rows{row: store.Row{Cells: []store.Cell{cell("a")}}, gate: gate}
		c, key := newCache(t, s, rowcache.Options{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := data(t, c, key); got != "a" {
					t.Errorf("%q", got)
				}
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		if s.reads != 1 {
			t.Errorf("%d reads for 20 who asked at once", s.reads)
		}
	})
}

// TestStoreAway holds that the last row stands in, together with the error, and that a store that hangs is left alone.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rows{row: store.Row{Cells: []store.Cell{cell("last")}}}
		c, key := newCache(t, s, rowcache.Options{Age: time.Second, Timeout: time.Minute})
		data(t, c, key)
		time.Sleep(2 * time.Second) // synctest's clock
		away := errors.New("away")
		s.set(func(s *rows) { s.err = away })
		row, err := c.Read(t.Context(), key, 1)
		if !errors.Is(err, away) || len(row.Cells) != 1 {
			t.Errorf("failing: %v, %v", row, err)
		}
		s.set(func(s *rows) { s.err, s.gate = nil, make(chan struct{}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		row, err = c.Read(ctx, key, 1)
		if !errors.Is(err, context.DeadlineExceeded) || len(row.Cells) != 1 {
			t.Errorf("hanging: %v, %v", row, err)
		}
		time.Sleep(time.Minute) // the read that nobody awaits any more ends by itself
		s.set(func(s *rows) { s.err, s.gate = away, nil })
		time.Sleep(10 * time.Minute)
		if row, err = c.Read(t.Context(), key, 1); !errors.Is(err, away) || len(row.Cells) != 0 {
			t.Errorf("failing, when the row is too old to stand in: %v, %v", row, err)
		}
	})
}

func TestWhatIsNotKept(t *testing.T) {
	s := &rows{}
	c, key := newCache(t, s, rowcache.Options{Age: time.Hour})
	market, err := store.MarketKey("SE")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, read := range []func() (store.Row, error){
			func() (store.Row, error) { return c.Read(t.Context(), key, 3) },
			func() (store.Row, error) { return c.Read(t.Context(), market, 1) },
		} {
			if _, err := read(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.reads != 4 {
		t.Errorf("%d reads, want 4", s.reads)
	}
}
