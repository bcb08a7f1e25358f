// Package storetest holds the test that every store.Store passes: the contract's doc comments, as code.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/shelves/store"
)

// Opener opens one place where rows are kept; called again after Close, it opens the same rows.
type Opener func(t *testing.T) store.Store

// Test runs the contract test. open makes a place of its own for rows, empty, and says how to open it; it cleans
// up with t.Cleanup. Test closes the stores it opens.
func Test(t *testing.T, open func(t *testing.T) Opener) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"versions", testVersions},
		{"tombstones", testTombstones},
		{"model", testModel},
		{"atomic writes", testAtomic},
		{"many keys at once", testManyKeys},
		{"sizes", testSizes},
		{"refusals", testRefusals},
		{"contexts", testContexts},
		{"own memory", testOwnMemory},
		{"reopening", testReopen},
		{"closing", testClose},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

// patience is how long a call may take on a loaded machine before the test gives up.
const patience = time.Minute

// epoch is the as-of that the tests count milliseconds from.
var epoch = time.UnixMilli(1_700_000_000_000).UTC()

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// cell makes a cell whose data tells where it came from.
func cell(shelf string, ms int, data string) store.Cell {
	return store.Cell{Shelf: shelf, AsOf: at(ms), Data: []byte(data)}
}

func userKey(t testing.TB, user string) store.Key {
	t.Helper()
	key, err := store.UserKey(user)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// opened opens the store for one test and closes it at the end.
func opened(t *testing.T, open Opener) *handle {
	t.Helper()
	s := open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return &handle{t, s}
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// handle makes calls that may not fail.
type handle struct {
	t fataler
	s store.Store
}

func (h *handle) write(key store.Key, cells ...store.Cell) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.s.Write(ctx, key, cells...); err != nil {
		h.t.Fatalf("writing %s: %v", key, err)
	}
}

func (h *handle) delete(key store.Key, at time.Time) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.s.Delete(ctx, key, at); err != nil {
		h.t.Fatalf("deleting %s: %v", key, err)
	}
}

func (h *handle) read(key store.Key, versions int) store.Row {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	row, err := h.s.Read(ctx, key, versions)
	if err != nil {
		h.t.Fatalf("reading %s: %v", key, err)
	}
	seen := 0
	err = store.View(ctx, h.s, key, versions, func(viewed store.Row) {
		seen++
		if diff := cmp.Diff(row, viewed, equal); diff != "" {
			h.t.Fatalf("viewing %s, %d versions (-read +viewed):\n%s", key, versions, diff)
		}
	})
	if err != nil || seen != 1 {
		h.t.Fatalf("viewing %s: %v, seen %d times", key, err, seen)
	}
	if versions == 1 {
		outline, err := store.Outline(ctx, h.s, key)
		want := store.Row{DeletedAt: row.DeletedAt, Cells: slices.Clone(row.Cells)}
		for i := range want.Cells {
			want.Cells[i].Data = nil
		}
		if diff := cmp.Diff(want, outline, equal); len(want.Cells)+len(outline.Cells) > 0 && diff != "" || err != nil {
			h.t.Fatalf("outlining %s: %v (-read +outlined):\n%s", key, err, diff)
		}
	}
	return row
}

// equal treats no data and nil alike, and is quick about large cells.
var equal = cmp.Comparer(bytes.Equal)

// want reads and compares.
func (h *handle) want(key store.Key, versions int, want store.Row) {
	h.t.Helper()
	got := h.read(key, versions)
	if len(want.Cells)+len(got.Cells) == 0 {
		want.Cells, got.Cells = nil, nil
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		h.t.Fatalf("%s, %d versions (-want +got):\n%s", key, versions, diff)
	}
}

// newest wants the newest generation to be these cells.
func (h *handle) newest(key store.Key, cells ...store.Cell) {
	h.t.Helper()
	h.want(key, 1, store.Row{Cells: cells})
}

func testSizes(t *testing.T, open Opener) {
	h := opened(t, open)
	key := userKey(t, "sizes")
	large := store.Cell{Shelf: "large", AsOf: at(1), Data: bytes.Repeat([]byte{0, 255, '\n', 7}, store.MaxCell/4)}
	h.write(key, large, cell("empty", 1, ""))
	h.newest(key, cell("empty", 1, ""), large)

	h.write(key) // no cells, no write
	h.newest(key, cell("empty", 1, ""), large)

	many := make([]store.Cell, store.MaxCells)
	for i := range many {
		many[i] = cell(fmt.Sprintf("shelf_%03d~v", i), i, fmt.Sprint(i))
	}
	key = userKey(t, "many")
	h.write(key, many...)
	h.newest(key, many...)
	market, err := store.MarketKey("001")
	if err != nil {
		t.Fatal(err)
	}
	h.write(market, cell("trending", 1, "x"))
	h.newest(market, cell("trending", 1, "x"))

	first := store.Cell{Shelf: "first", AsOf: time.UnixMilli(0).UTC(), Data: []byte("1970")}
	key = userKey(t, "1970")
	h.write(key, first)
	h.newest(key, first)
	h.delete(key, first.AsOf)
	h.want(key, 1, store.Row{DeletedAt: first.AsOf})
}

// testOwnMemory holds that the store and its callers don't share bytes.
func testOwnMemory(t *testing.T, open Opener) {
	h := opened(t, open)
	key := userKey(t, "memory")
	given := cell("a", 1, "given")
	h.write(key, given, cell("b", 1, "other"))
	copy(given.Data, "spoil")
	row := h.read(key, 1)
	for i := range row.Cells {
		_ = append(row.Cells[i].Data, "overflow into the next cell"...)
		clear(row.Cells[i].Data)
	}
	h.newest(key, cell("a", 1, "given"), cell("b", 1, "other"))
}

func testReopen(t *testing.T, open Opener) {
	key, gone := userKey(t, "stays"), userKey(t, "goes")
	s := open(t)
	h := &handle{t, s}
	h.write(key, cell("a", 1, "1"), cell("b", 1, "1"))
	h.write(key, cell("a", 2, "2"))
	h.write(gone, cell("a", 1, "1"))
	h.delete(gone, at(1))
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	h = opened(t, open)
	h.want(key, 2, store.Row{Cells: []store.Cell{cell("a", 2, "2"), cell("a", 1, "1"), cell("b", 1, "1")}})
	h.want(gone, 2, store.Row{DeletedAt: at(1)})
	h.write(gone, cell("a", 1, "late"), cell("a", 2, "new"))
	h.want(gone, 2, store.Row{DeletedAt: at(1), Cells: []store.Cell{cell("a", 2, "new")}})
}
