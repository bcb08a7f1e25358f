package tablecache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
	"homefeed/services/songsplayed/tablecache"
	"homefeed/services/songsplayed/tabletest"
)

// counted is a table whose scans are counted, and that fails when it is told to.
type counted struct {
	songsplayed.Table
	scans   int
	failing error
}

func (c *counted) Scan(ctx context.Context, from, to []byte, limit int, visit func([]byte) bool) error {
	c.scans++
	return c.Table.Scan(ctx, from, to, limit, visit)
}

func (c *counted) Put(ctx context.Context, rows []songsplayed.Row) error {
	err := c.Table.Put(ctx, rows)
	return errors.Join(err, c.failing)
}

func local(t testing.TB) *localtable.Table {
	t.Helper()
	table, err := localtable.Open("table", localtable.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func cached(t testing.TB, behind songsplayed.Table) *tablecache.Table {
	t.Helper()
	table, err := tablecache.New(behind, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestContract(t *testing.T) {
	tabletest.Run(t, func(t *testing.T) songsplayed.Table { return cached(t, local(t)) })
}

func key(user string, ms int) string { return fmt.Sprintf("u#0000#%s#p#%013d#t", user, ms) }

func put(t rapid.TB, table songsplayed.Table, keys ...string) {
	t.Helper()
	var rows []songsplayed.Row
	for _, k := range keys {
		rows = append(rows, songsplayed.Row{Key: []byte(k)})
	}
	if err := table.Put(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
}

func scan(t rapid.TB, table songsplayed.Table, from, to string, limit int) (keys []string) {
	t.Helper()
	err := table.Scan(context.Background(), []byte(from), []byte(to), limit, func(key []byte) bool {
		keys = append(keys, string(key))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func all(t rapid.TB, table songsplayed.Table, user string) []string {
	return scan(t, table, "u#0000#"+user+"#p#", "u#0000#"+user+"#p#:", 1<<20)
}

// TestAsTheTable holds that a listener's rows are those of the table, whatever was put, deleted and read before.
func TestAsTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		behind, err := localtable.Open("table", localtable.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		table, err := tablecache.New(behind, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		user, ms := rapid.SampledFrom([]string{"ann", "bob"}), rapid.IntRange(0, 20)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				put(t, table, key(user.Draw(t, "user"), ms.Draw(t, "ms")), key(user.Draw(t, "user"), ms.Draw(t, "ms")))
			},
			"delete": func(t *rapid.T) {
				u, a, b := user.Draw(t, "user"), ms.Draw(t, "from"), ms.Draw(t, "to")
				if err := table.Delete(t.Context(), []byte(key(u, min(a, b))), []byte(key(u, max(a, b)))); err != nil {
					t.Fatal(err)
				}
			},
			"erase": func(t *rapid.T) {
				u := "u#0000#" + user.Draw(t, "user")
				if err := table.Delete(t.Context(), []byte(u+"#"), []byte(u+"$")); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				u, a, b := user.Draw(t, "user"), ms.Draw(t, "from"), ms.Draw(t, "to")
				from, to, limit := key(u, min(a, b)), key(u, max(a, b)), rapid.IntRange(1, 5).Draw(t, "limit")
				if diff := cmp.Diff(scan(t, behind, from, to, limit), scan(t, table, from, to, limit)); diff != "" {
					t.Fatalf("from %s to %s (-table +cache):\n%s", from, to, diff)
				}
			},
		})
	})
}

// TestReadsOnce holds that rows are read from the table once, until a write failed or there are too many of them.
func TestReadsOnce(t *testing.T) {
	behind := &counted{Table: local(t)}
	table := cached(t, behind)
	defer table.Close()
	put(t, table, key("ann", 2))
	for i, step := range []struct {
		do    func()
		rows  int
		scans int // of the table so far
	}{
		{func() {}, 1, 1},
		{func() { put(t, table, key("ann", 1)) }, 2, 1},
		{func() { put(t, table, key("bob", 1)) }, 2, 1},
		{func() {
			behind.failing = errors.New("injected")
			if err := table.Put(t.Context(), []songsplayed.Row{{Key: []byte(key("ann", 3))}}); !errors.Is(err, behind.failing) {
				t.Errorf("Put: %v, want the table's error", err)
			}
			behind.failing = nil
		}, 3, 2},
		{func() {
			for ms := range 2_001 {
				put(t, table, key("ann", ms))
			}
		}, 2_001, 3},
		{func() {}, 2_001, 4},
	} {
		step.do()
		if rows := all(t, table, "ann"); len(rows) != step.rows || !slices.IsSorted(rows) || behind.scans != step.scans {
			t.Errorf("step %d: %d rows after %d scans of the table, want %d after %d", i, len(rows), behind.scans, step.rows, step.scans)
		}
	}
}

// TestTogether puts and deletes rows while others read: at the end the cache has what the table has.
func TestTogether(t *testing.T) {
	behind := local(t)
	table := cached(t, behind)
	defer table.Close()
	var running sync.WaitGroup
	for worker := range 8 {
		random := rand.New(rand.NewPCG(1, uint64(worker)))
		running.Go(func() {
			for range 500 {
				user, ms := fmt.Sprint("u", random.IntN(4)), random.IntN(50)
				switch random.IntN(8) {
				case 0:
					if err := table.Delete(t.Context(), []byte(key(user, ms)), []byte(key(user, ms+5))); err != nil {
						t.Error(err)
					}
				case 1, 2, 3:
					if err := table.Put(t.Context(), []songsplayed.Row{{Key: []byte(key(user, ms))}}); err != nil {
						t.Error(err)
					}
				default:
					all(t, table, user)
				}
			}
		})
	}
	running.Wait()
	for i := range 4 {
		user := fmt.Sprint("u", i)
		if diff := cmp.Diff(all(t, behind, user), all(t, table, user)); diff != "" {
			t.Errorf("%s (-table +cache):\n%s", user, diff)
		}
	}
}
