package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"homefeed/shelves/store"
)

// testAtomic holds that a reader sees every cell of a Write or none, and never an older row than before.
func testAtomic(t *testing.T, open Opener) {
	const generations, shelves = 200, 8
	h := opened(t, open)
	key := userKey(t, "atomic")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	written := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(written)
	for range 4 {
		wg.Go(func() {
			newest := 0
			for running := true; running; {
				select {
				case <-written:
					running = false // once more, for the last generation
				default:
				}
				row, err := h.s.Read(ctx, key, 1)
				if err != nil {
					t.Errorf("reading: %v", err)
					return
				}
				generation, err := oneGeneration(row, shelves)
				if err != nil || generation < newest || !running && generation != generations {
					t.Errorf("saw generation %d after %d of %d (%v)", generation, newest, generations, err)
					return
				}
				newest = generation
			}
		})
	}
	for g := 1; g <= generations && ctx.Err() == nil; g++ {
		cells := make([]store.Cell, shelves)
		for i := range cells {
			cells[i] = cell(fmt.Sprintf("shelf_%d", i), g, strings.Repeat(fmt.Sprintf("%d.", g), 100))
		}
		h.write(key, cells...)
	}
}

// oneGeneration is the generation that all cells of the row have; 0 when there are none.
func oneGeneration(row store.Row, shelves int) (int, error) {
	if len(row.Cells) == 0 {
		return 0, nil
	}
	if len(row.Cells) != shelves {
		return 0, fmt.Errorf("%d shelves: want %d", len(row.Cells), shelves)
	}
	for _, c := range row.Cells {
		if !c.AsOf.Equal(row.Cells[0].AsOf) || !bytes.Equal(c.Data, row.Cells[0].Data) {
			return 0, fmt.Errorf("%s is of %v, %s of %v", row.Cells[0].Shelf, row.Cells[0].AsOf, c.Shelf, c.AsOf)
		}
	}
	return int(row.Cells[0].AsOf.Sub(epoch).Milliseconds()), nil
}

// testManyKeys writes rows from many goroutines; rows of one writer and rows that they share.
func testManyKeys(t *testing.T, open Opener) {
	const writers, rows = 16, 20
	h := opened(t, open)
	shared := userKey(t, "shared")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rows {
				key, err := store.UserKey(fmt.Sprintf("user-%d-%d", w, r))
				if err != nil {
					t.Error(err)
					return
				}
				err = errors.Join(
					h.s.Write(ctx, key, cell("a", w, key2data(key)), cell("b", r, key2data(key))),
					h.s.Write(ctx, shared, cell(fmt.Sprintf("of_%02d", w), r, fmt.Sprint(r))))
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var want []store.Cell
	for w := range writers {
		for r := range rows {
			key := userKey(t, fmt.Sprintf("user-%d-%d", w, r))
			h.newest(key, cell("a", w, key2data(key)), cell("b", r, key2data(key)))
		}
		want = append(want, cell(fmt.Sprintf("of_%02d", w), rows-1, fmt.Sprint(rows-1)))
	}
	h.newest(shared, want...)
}

func key2data(key store.Key) string { return "data of " + string(key) }

// testRefusals holds that what is wrong is refused by name, and that nothing of it is written.
func testRefusals(t *testing.T, open Opener) {
	h := opened(t, open)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	good := userKey(t, "good")
	bad := store.Key("u#0000#good")
	write := func(key store.Key, cells ...store.Cell) func() error {
		return func() error { return h.s.Write(ctx, key, cells...) }
	}
	read := func(key store.Key, versions int) func() error {
		return func() error {
			_, err := h.s.Read(ctx, key, versions)
			return err
		}
	}
	remove := func(key store.Key, at time.Time) func() error {
		return func() error { return h.s.Delete(ctx, key, at) }
	}
	for _, tt := range []struct {
		name string
		call func() error
		want string
	}{
		{"write, key of no user", write("good", cell("s", 1, "x")), "row key"},
		{"write, hash of another user", write(bad, cell("s", 1, "x")), "row key"},
		{"write, no shelf", write(good, cell("s", 1, "x"), cell("", 1, "x")), "cells[1].shelf"},
		{"write, bad shelf", write(good, cell("s", 1, "x"), cell("S/t", 1, "x")), "cells[1].shelf"},
		{"write, no as-of", write(good, cell("s", 1, "x"), store.Cell{Shelf: "r"}), "cells[1].asOf"},
		{"write, part of a millisecond", write(good, store.Cell{Shelf: "r", AsOf: at(0).Add(1)}), "cells[0].asOf"},
		{"write, too large", write(good, cell("s", 1, "x"), cell("r", 1, strings.Repeat("x", store.MaxCell+1))), "cells[1].data"},
		{"write, too many", write(good, make([]store.Cell, store.MaxCells+1)...), "cells"},
		{"read, bad key", read(bad, 1), "row key"},
		{"read, no versions", read(good, 0), "versions"},
		{"read, too many versions", read(good, store.Versions+1), "versions"},
		{"delete, bad key", remove("", at(1)), "row key"},
		{"delete, no time", remove(good, time.Time{}), "at: "},
	} {
		if err := tt.call(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error about %q", tt.name, err, tt.want)
		}
	}
	h.newest(good)
}

// testContexts holds that a call whose ctx has ended does nothing and says why.
func testContexts(t *testing.T, open Opener) {
	h := opened(t, open)
	key := userKey(t, "late")
	h.write(key, cell("s", 1, "1"))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, expired} {
		if err := h.s.Write(ctx, key, cell("s", 2, "2")); !errors.Is(err, ctx.Err()) {
			t.Errorf("Write: got %v, want %v", err, ctx.Err())
		}
		if err := h.s.Delete(ctx, key, at(5)); !errors.Is(err, ctx.Err()) {
			t.Errorf("Delete: got %v, want %v", err, ctx.Err())
		}
		if row, err := h.s.Read(ctx, key, 1); !errors.Is(err, ctx.Err()) || len(row.Cells) > 0 {
			t.Errorf("Read: got %v, %v, want %v", row, err, ctx.Err())
		}
	}
	h.newest(key, cell("s", 1, "1"))
}

// testClose closes while calls are under way: each of them succeeds or says that the store is closed.
func testClose(t *testing.T, open Opener) {
	s := open(t)
	key := userKey(t, "closing")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var begun, done sync.WaitGroup
	for range 8 {
		begun.Add(1)
		done.Go(func() {
			first := true
			for ctx.Err() == nil {
				_, err := s.Read(ctx, key, 1)
				err = errors.Join(err, s.Write(ctx, key, cell("s", 1, "x")))
				if first {
					begun.Done()
					first = false
				}
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						t.Errorf("while closing: got %v, want %v", err, store.ErrClosed)
					}
					return
				}
			}
		})
	}
	begun.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	done.Wait()
	_, readErr := s.Read(ctx, key, 1)
	for name, err := range map[string]error{
		"Read": readErr, "Write": s.Write(ctx, key, cell("s", 1, "x")), "Delete": s.Delete(ctx, key, at(1)), "Close": s.Close(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: got %v, want %v", name, err, store.ErrClosed)
		}
	}
}
