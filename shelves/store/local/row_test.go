package local

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"homefeed/shelves/store"
)

// FuzzRow holds that no bytes make the decoder or the join panic, and that what decodes survives a join.
func FuzzRow(f *testing.F) {
	good := appendRow(nil, []store.Cell{
		{Shelf: "b", AsOf: time.UnixMilli(5), Data: []byte("five")}, {Shelf: "a", AsOf: time.UnixMilli(7), Data: nil},
	})
	f.Add(good, appendTombstone(nil, time.UnixMilli(6)))
	f.Add([]byte{}, good)
	f.Add(good[:len(good)-1], good)
	f.Add([]byte{0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, good)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, row := range [][]byte{a, b} {
			if _, err := decodeRow(row, store.Versions); err != nil {
				return
			}
		}
		joined, err := joinRows(nil, a, b)
		if err != nil {
			t.Fatalf("two good rows don't join: %v", err)
		}
		if _, err := decodeRow(joined, store.Versions); err != nil {
			t.Fatalf("a joined row doesn't decode: %v", err)
		}
	})
}

func TestCorruptRowsAreErrors(t *testing.T) {
	good := appendRow(nil, []store.Cell{{Shelf: "shelf", AsOf: time.UnixMilli(1 << 40), Data: []byte("data")}})
	for n := range len(good) {
		row, err := decodeRow(good[:n], 1)
		if n == 1 { // a row that ends after the tombstone has no cells
			if err != nil {
				t.Errorf("an empty row: %v", err)
			}
			continue
		}
		if err == nil || len(row.Cells) > 0 {
			t.Errorf("the first %d bytes of %d: got %v, %v, want an error", n, len(good), row, err)
		}
		if _, err := joinRows(nil, good, good[:n]); err == nil {
			t.Errorf("the first %d bytes of %d joined, want an error", n, len(good))
		}
	}
}

// TestJoinInAnyGrouping holds what the engine relies upon: operands that are joined in any grouping, from either
// end, make one and the same row.
func TestJoinInAnyGrouping(t *testing.T) {
	merger := newMerger()
	operand := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
			return appendTombstone(nil, time.UnixMilli(rapid.Int64Range(0, 8).Draw(t, "at")))
		}
		return appendRow(nil, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Cell {
			return store.Cell{
				Shelf: rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "shelf"),
				AsOf:  time.UnixMilli(rapid.Int64Range(0, 8).Draw(t, "as-of")),
				Data:  rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "data"),
			}
		}), 0, 5).Draw(t, "cells"))
	})
	rapid.Check(t, func(t *rapid.T) {
		operands := rapid.SliceOfN(operand, 1, 8).Draw(t, "operands")
		want := mergeNewer(t, merger, operands)
		if got := mergeOlder(t, merger, operands); !bytes.Equal(got, want) {
			t.Fatalf("from the newest on: %x, from the oldest on: %x", got, want)
		}
		cut := rapid.IntRange(0, len(operands)-1).Draw(t, "cut")
		grouped := append([][]byte{mergeOlder(t, merger, operands[:cut+1])}, operands[cut+1:]...)
		if got := mergeNewer(t, merger, grouped); !bytes.Equal(got, want) {
			t.Fatalf("the first %d grouped: %x, want %x", cut+1, got, want)
		}
		grouped = append(slices.Clone(operands[:cut]), mergeNewer(t, merger, operands[cut:]))
		if got := mergeOlder(t, merger, grouped); !bytes.Equal(got, want) {
			t.Fatalf("the last %d grouped: %x, want %x", len(operands)-cut, got, want)
		}
	})
}

func mergeNewer(t *rapid.T, m *pebble.Merger, operands [][]byte) []byte {
	v, err := m.Merge(nil, operands[0])
	for i := 1; err == nil && i < len(operands); i++ {
		err = v.MergeNewer(operands[i])
	}
	return finish(t, v, err)
}

func mergeOlder(t *rapid.T, m *pebble.Merger, operands [][]byte) []byte {
	last := len(operands) - 1
	v, err := m.Merge(nil, operands[last])
	for i := last - 1; err == nil && i >= 0; i-- {
		err = v.MergeOlder(operands[i])
	}
	return finish(t, v, err)
}

func finish(t *rapid.T, v pebble.ValueMerger, err error) []byte {
	if err != nil {
		t.Fatal(err)
	}
	row, closer, err := v.Finish(true)
	if err != nil {
		t.Fatal(err)
	}
	row = bytes.Clone(row)
	if closer != nil {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return row
}

func TestRowRoundTrip(t *testing.T) {
	cells := []store.Cell{
		{Shelf: "b", AsOf: time.UnixMilli(2).UTC(), Data: []byte("b2")},
		{Shelf: "a~v", AsOf: time.UnixMilli(0).UTC(), Data: []byte{}},
		{Shelf: "b", AsOf: time.UnixMilli(3).UTC(), Data: []byte("b3")},
		{Shelf: "b", AsOf: time.UnixMilli(2).UTC(), Data: []byte("b2 again")},
	}
	encoded := appendRow(nil, cells)
	if len(encoded) > rowSize(cells) {
		t.Errorf("a row of %d bytes, rowSize says at most %d", len(encoded), rowSize(cells))
	}
	got, err := decodeRow(encoded, store.Versions)
	want := store.Row{Cells: []store.Cell{cells[1], cells[2], cells[3]}}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// BenchmarkDecode is a Home of 12 shelves out of a row of three generations.
func BenchmarkDecode(b *testing.B) {
	var cells []store.Cell
	for shelf := range 12 {
		for generation := range int64(store.Versions) {
			cells = append(cells, store.Cell{
				Shelf: "shelf_number_" + string(rune('a'+shelf)), AsOf: time.UnixMilli(generation), Data: make([]byte, 2500),
			})
		}
	}
	row := appendRow(nil, cells)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := decodeRow(row, 1); err != nil || len(got.Cells) != 12 {
			b.Fatal(got, err)
		}
	}
}
