// Package tabletest is the contract of songsplayed.Table as a test that every table runs.
package tabletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/services/songsplayed"
)

// timeout bounds every call: generous, because the machine may be busy.
const timeout = time.Minute

// Run tests the tables that open makes: an empty one each time, which Run closes.
func Run(t *testing.T, open func(t *testing.T) songsplayed.Table) {
	for name, test := range map[string]func(*testing.T, songsplayed.Table){
		"rows come back in order and within bounds": testOrder,
		"a row put again is one row":                testIdempotent,
		"no slice is kept":                          testNoSliceKept,
		"deleting a range":                          testDelete,
		"the largest batch":                         testLargestBatch,
		"many at once":                              testConcurrent,
		"an ended context":                          testEndedContext,
		"closed":                                    testClosed,
		"like a sorted set":                         testModel,
	} {
		t.Run(name, func(t *testing.T) {
			table := open(t)
			t.Cleanup(func() {
				if err := table.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			test(t, table)
		})
	}
}

func rows(keys ...string) []songsplayed.Row {
	list := make([]songsplayed.Row, len(keys))
	for i, k := range keys {
		list[i] = songsplayed.Row{Key: []byte(k), Time: int64(i)}
	}
	return list
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func put(t fataler, table songsplayed.Table, list []songsplayed.Row) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := table.Put(ctx, list); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func scan(t fataler, table songsplayed.Table, from, to string, limit int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	keys := []string{}
	err := table.Scan(ctx, []byte(from), []byte(to), limit, func(key []byte) bool {
		keys = append(keys, string(key))
		return true
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return keys
}

func testOrder(t *testing.T, table songsplayed.Table) {
	put(t, table, rows("u#c", "u#a#2", "u#b", "u#a#1", "u#a", "v"))
	for _, test := range []struct {
		from, to string
		limit    int
		want     []string
	}{
		{"u#", "u$", 100, []string{"u#a", "u#a#1", "u#a#2", "u#b", "u#c"}},
		{"u#a#", "u#a$", 100, []string{"u#a#1", "u#a#2"}},
		{"u#a#2", "u#c", 100, []string{"u#a#2", "u#b"}}, // from is included, to is not
		{"u#", "u$", 2, []string{"u#a", "u#a#1"}},
		{"u#", "u$", 0, []string{}},
		{"w", "x", 100, []string{}},
	} {
		if diff := cmp.Diff(test.want, scan(t, table, test.from, test.to, test.limit)); diff != "" {
			t.Errorf("scan of %q to %q, limit %d (-want +got):\n%s", test.from, test.to, test.limit, diff)
		}
	}
	visits := 0
	err := table.Scan(t.Context(), []byte("u#"), []byte("u$"), 100, func([]byte) bool {
		visits++
		return visits < 3
	})
	if err != nil || visits != 3 {
		t.Errorf("a visit that returned false: %d visits, error %v; want 3 and none", visits, err)
	}
}

func testIdempotent(t *testing.T, table songsplayed.Table) {
	put(t, table, nil)
	put(t, table, rows("u#a", "u#b", "u#a"))
	put(t, table, rows("u#b", "u#a"))
	if diff := cmp.Diff([]string{"u#a", "u#b"}, scan(t, table, "u#", "u$", 100)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testNoSliceKept(t *testing.T, table songsplayed.Table) {
	list := rows("u#a", "u#b")
	put(t, table, list)
	copy(list[0].Key, "v#x")
	if diff := cmp.Diff([]string{"u#a", "u#b"}, scan(t, table, "u#", "v$", 100)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testDelete(t *testing.T, table songsplayed.Table) {
	put(t, table, rows("a", "b", "b1", "c", "d"))
	remove := func(from, to string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := table.Delete(ctx, []byte(from), []byte(to)); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	remove("b", "d")
	remove("b", "d") // nothing is there any more
	if diff := cmp.Diff([]string{"a", "d"}, scan(t, table, "a", "e", 10)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	put(t, table, rows("c"))
	if diff := cmp.Diff([]string{"a", "c", "d"}, scan(t, table, "a", "e", 10)); diff != "" {
		t.Errorf("put again (-want +got):\n%s", diff)
	}
}

func testLargestBatch(t *testing.T, table songsplayed.Table) {
	keys := make([]string, songsplayed.MaxRecord)
	for i := range keys {
		keys[i] = fmt.Sprintf("u#%0*d", songsplayed.MaxKey-2, i)
	}
	shuffled := slices.Clone(keys)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	})
	put(t, table, rows(shuffled...))
	if diff := cmp.Diff(keys, scan(t, table, "u#", "u$", 2*len(keys))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testConcurrent: whoever has put a row finds it, whatever others do meanwhile.
func testConcurrent(t *testing.T, table songsplayed.Table) {
	const writers, batches, batch = 8, 10, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			prefix := fmt.Sprintf("u#%d#", w)
			for b := range batches {
				keys := make([]string, batch)
				for i := range keys {
					keys[i] = fmt.Sprintf("%s%04d", prefix, b*batch+i)
				}
				if err := table.Put(ctx, rows(keys...)); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				found := 0
				err := table.Scan(ctx, []byte(prefix), []byte(prefix+"~"), 1000, func([]byte) bool { found++; return true })
				if want := (b + 1) * batch; err != nil || found != want {
					t.Errorf("writer %d found %d rows, error %v; want %d", w, found, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testEndedContext(t *testing.T, table songsplayed.Table) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.Put(ctx, rows("u#a")); err == nil {
		t.Error("Put: no error")
	}
	if err := table.Scan(ctx, []byte("u#"), []byte("u$"), 1, func([]byte) bool { return true }); err == nil {
		t.Error("Scan: no error")
	}
}

func testClosed(t *testing.T, table songsplayed.Table) {
	put(t, table, rows("u#a"))
	for range 2 {
		if err := table.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if err := table.Put(t.Context(), rows("u#b")); !errors.Is(err, songsplayed.ErrClosed) {
		t.Errorf("Put: %v, want ErrClosed", err)
	}
	err := table.Scan(t.Context(), []byte("u#"), []byte("u$"), 1, func([]byte) bool { return true })
	if !errors.Is(err, songsplayed.ErrClosed) {
		t.Errorf("Scan: %v, want ErrClosed", err)
	}
}

// testModel compares a table with a sorted slice. Each run has a prefix of its own, so one table does for all.
func testModel(t *testing.T, table songsplayed.Table) {
	key := rapid.StringMatching(`[ab#]{1,4}`)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		prefix := fmt.Sprintf("u#%d/", run)
		var model []string
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			batch := rapid.SliceOfN(key, 0, 8).Draw(t, "batch")
			for i := range batch {
				batch[i] = prefix + batch[i]
			}
			put(t, table, rows(batch...))
			model = append(model, batch...)
		}
		slices.Sort(model)
		model = slices.Compact(model)

		from, to := prefix+key.Draw(t, "from"), prefix+key.Draw(t, "to")
		if bytes.Compare([]byte(from), []byte(to)) >= 0 {
			from, to = prefix, prefix+"~"
		}
		limit := rapid.IntRange(0, 20).Draw(t, "limit")
		want := []string{}
		for _, k := range model {
			if from <= k && k < to && len(want) < limit {
				want = append(want, k)
			}
		}
		if diff := cmp.Diff(want, scan(t, table, from, to, limit)); diff != "" {
			t.Fatalf("scan of %q to %q, limit %d (-want +got):\n%s", from, to, limit, diff)
		}
	})
}
