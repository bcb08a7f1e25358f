package storetest

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"homefeed/shelves/store"
)

func testVersions(t *testing.T, open Opener) {
	h := opened(t, open)
	h.newest(userKey(t, "unknown"))

	// Every order of writing five generations, one of them twice, ends in the same row.
	generations := []store.Cell{cell("s", 1, "1"), cell("s", 2, "2"), cell("s", 3, "3"), cell("s", 4, "4"), cell("s", 5, "5")}
	newest := []store.Cell{cell("s", 5, "5"), cell("s", 4, "4"), cell("s", 3, "3")}
	for i, order := range [][]int{
		{1, 2, 3, 4, 5}, {5, 4, 3, 2, 1}, {3, 5, 1, 4, 2}, {2, 1, 5, 3, 4}, {5, 1, 4, 2, 3, 5, 1},
	} {
		key := userKey(t, fmt.Sprintf("order-%d", i))
		for _, n := range order {
			h.write(key, generations[n-1])
		}
		for versions := 1; versions <= store.Versions; versions++ {
			h.want(key, versions, store.Row{Cells: newest[:versions]})
		}
	}

	key := userKey(t, "replaced")
	h.write(key, cell("s", 1, "first"))
	h.write(key, cell("s", 1, "second"))
	h.want(key, store.Versions, store.Row{Cells: []store.Cell{cell("s", 1, "second")}})
	h.write(key, cell("s", 2, "a"), cell("s", 2, "b")) // of two in one write, the later one counts
	h.newest(key, cell("s", 2, "b"))

	key = userKey(t, "columns") // each shelf and each variant has generations of its own
	h.write(key, cell("b", 9, "9"), cell("a", 1, "1"), cell("a~x", 5, "5"))
	h.write(key, cell("a", 2, "2"))
	h.want(key, 2, store.Row{Cells: []store.Cell{cell("a", 2, "2"), cell("a", 1, "1"), cell("a~x", 5, "5"), cell("b", 9, "9")}})
}

func testTombstones(t *testing.T, open Opener) {
	write := func(cells ...store.Cell) func(*handle, store.Key) {
		return func(h *handle, k store.Key) { h.write(k, cells...) }
	}
	remove := func(ms int) func(*handle, store.Key) {
		return func(h *handle, k store.Key) { h.delete(k, at(ms)) }
	}
	h := opened(t, open)
	for i, tt := range []struct {
		name  string
		steps []func(*handle, store.Key)
		want  store.Row
	}{
		{"before and at, not after", []func(*handle, store.Key){write(cell("s", 1, "1"), cell("s", 2, "2"), cell("s", 3, "3")), remove(2)},
			store.Row{DeletedAt: at(2), Cells: []store.Cell{cell("s", 3, "3")}}},
		{"later write of an older cell", []func(*handle, store.Key){remove(5), write(cell("s", 4, "4"), cell("r", 5, "5"))},
			store.Row{DeletedAt: at(5)}},
		{"later write of a newer cell", []func(*handle, store.Key){remove(5), write(cell("s", 4, "4"), cell("s", 6, "6"))},
			store.Row{DeletedAt: at(5), Cells: []store.Cell{cell("s", 6, "6")}}},
		{"late older tombstone", []func(*handle, store.Key){remove(5), remove(2), write(cell("s", 4, "4"))},
			store.Row{DeletedAt: at(5)}},
		{"twice", []func(*handle, store.Key){write(cell("s", 1, "1")), remove(2), write(cell("s", 3, "3")), remove(4)},
			store.Row{DeletedAt: at(4)}},
		{"all shelves", []func(*handle, store.Key){write(cell("s", 1, "1"), cell("r", 1, "1")), write(cell("q~v", 2, "2")), remove(2)},
			store.Row{DeletedAt: at(2)}},
		{"part of a millisecond", []func(*handle, store.Key){write(cell("s", 2, "2"), cell("s", 3, "3")),
			func(h *handle, k store.Key) { h.delete(k, at(2).Add(999*time.Microsecond)) }},
			store.Row{DeletedAt: at(2), Cells: []store.Cell{cell("s", 3, "3")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &handle{t, h.s}
			key := userKey(t, fmt.Sprintf("tombstone-%d", i))
			for _, step := range tt.steps {
				step(h, key)
			}
			h.want(key, store.Versions, tt.want)
		})
	}
	h.newest(userKey(t, "tombstone")) // another row, whose key is the beginning of a deleted one
}

// model is the contract in a few lines: it forgets nothing and sorts when asked.
type model struct {
	cells     map[string]map[time.Time][]byte
	deletedAt time.Time
}

func (m *model) write(cells ...store.Cell) {
	for _, c := range cells {
		if m.cells == nil {
			m.cells = map[string]map[time.Time][]byte{}
		}
		if m.cells[c.Shelf] == nil {
			m.cells[c.Shelf] = map[time.Time][]byte{}
		}
		m.cells[c.Shelf][c.AsOf] = c.Data
	}
}

func (m *model) delete(at time.Time) {
	if at.After(m.deletedAt) {
		m.deletedAt = at
	}
}

func (m *model) read(versions int) store.Row {
	row := store.Row{DeletedAt: m.deletedAt}
	for _, shelf := range slices.Sorted(maps.Keys(m.cells)) {
		newestFirst := slices.SortedFunc(maps.Keys(m.cells[shelf]), func(a, b time.Time) int { return b.Compare(a) })
		for _, asOf := range newestFirst[:min(versions, len(newestFirst))] {
			if asOf.After(m.deletedAt) {
				row.Cells = append(row.Cells, store.Cell{Shelf: shelf, AsOf: asOf, Data: m.cells[shelf][asOf]})
			}
		}
	}
	return row
}

// testModel does the same to a store and to the model, in any order, and wants the same rows.
func testModel(t *testing.T, open Opener) {
	h := opened(t, open)
	var round atomic.Int64
	shelves := rapid.SampledFrom([]string{"a", "a~x", "b", "bb", "c_1"})
	times := rapid.IntRange(0, 12)
	cells := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Cell {
		return cell(shelves.Draw(t, "shelf"), times.Draw(t, "as-of"), rapid.StringN(0, 8, 8).Draw(t, "data"))
	}), 1, 6)
	rapid.Check(t, func(t *rapid.T) {
		h := &handle{t, h.s}
		n := round.Add(1)
		keys := make([]store.Key, 2) // the one's user begins with the other's
		models := make([]model, len(keys))
		for i, suffix := range []string{"", ".2"} {
			key, err := store.UserKey(fmt.Sprintf("round-%d%s", n, suffix))
			if err != nil {
				t.Fatal(err)
			}
			keys[i] = key
		}
		for range rapid.IntRange(1, 15).Draw(t, "calls") {
			row := rapid.IntRange(0, len(keys)-1).Draw(t, "row")
			if rapid.IntRange(0, 4).Draw(t, "0 deletes") == 0 {
				at := at(times.Draw(t, "at") / 2)
				h.delete(keys[row], at)
				models[row].delete(at)
			} else {
				cells := cells.Draw(t, "cells")
				h.write(keys[row], cells...)
				models[row].write(cells...)
			}
			for i, key := range keys {
				versions := rapid.IntRange(1, store.Versions).Draw(t, "versions")
				h.want(key, versions, models[i].read(versions))
			}
		}
	})
}
