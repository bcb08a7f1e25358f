// Package tablecache keeps in memory what is read of a songs-played table, for a service that is alone with it: it sees
// every row that is put, so what it remembers is what the table has. A refresh asks for a listener's plays five times
// over, and a table in files takes them together from several files each time.
package tablecache

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"sort"
	"sync/atomic"

	"github.com/maypok86/otter/v2" // a bounded cache that tells what is asked for again from what is not

	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/rowkey"
)

// maxRows is how many rows of a listener's family are remembered; whoever has more is read from the table.
const maxRows = 2_000

// Table is a songsplayed.Table in front of another one, which nobody else may write to.
type Table struct {
	songsplayed.Table
	known   *otter.Cache[uint64, family]
	seed    maphash.Seed
	puts    [4096]atomic.Uint64 // by hash of the prefix: grows before and after each Put of a row
	deletes atomic.Uint64       // grows before and after each Delete
	closed  atomic.Bool
}

var _ songsplayed.Table = (*Table)(nil)

// family is the rows with one prefix. It never changes: later ones share its memory. The rows are bytes one after the
// other, and not strings: those would be most of what the collector of garbage has to look at in a process.
type family struct {
	prefix string
	rows   []byte   // what follows the prefix, the last row first, because new plays come before all others
	ends   []uint32 // of each row
	large  bool     // there are more than maxRows, and rows is empty
}

// New remembers about so many bytes of t's rows. Close closes t.
func New(t songsplayed.Table, size uint64) (*Table, error) {
	known, err := otter.New(&otter.Options[uint64, family]{
		MaximumWeight: size,
		Weigher:       func(_ uint64, f family) uint32 { return uint32(192 + len(f.prefix) + cap(f.rows) + 4*cap(f.ends)) },
		Executor:      func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
	if err != nil {
		return nil, fmt.Errorf("making cache of the songs-played table: %w", err)
	}
	return &Table{Table: t, known: known, seed: maphash.MakeSeed()}, nil
}

func (t *Table) hash(prefix []byte) uint64 { return maphash.Bytes(t.seed, prefix) }

func (t *Table) putsOf(hash uint64) *atomic.Uint64 { return &t.puts[hash%uint64(len(t.puts))] }

// Put is songsplayed.Table's.
func (t *Table) Put(ctx context.Context, rows []songsplayed.Row) error {
	type part struct {
		prefix []byte
		hash   uint64
	}
	parts := make([]part, len(rows))
	for i, r := range rows {
		prefix := rowkey.Prefix(r.Key)
		parts[i] = part{prefix, t.hash(prefix)}
		t.putsOf(parts[i].hash).Add(1)
	}
	deletes := t.deletes.Load()
	err := t.Table.Put(ctx, rows)
	for i, r := range rows {
		prefix, hash := parts[i].prefix, parts[i].hash
		t.putsOf(hash).Add(1) // before the row is added: who reads meanwhile and missed it then remembers nothing
		if prefix == nil {
			continue
		}
		t.known.ComputeIfPresent(hash, func(f family) (family, otter.ComputeOp) {
			switch {
			case err != nil || t.deletes.Load() != deletes: // it may be there and may not
				return f, otter.InvalidateOp
			case f.large || f.prefix != string(prefix):
				return f, otter.CancelOp
			}
			return f.with(r.Key[len(prefix):]), otter.WriteOp
		})
	}
	return err
}

// row is the i-th row, the last one first.
func (f *family) row(i int) []byte {
	if i == 0 {
		return f.rows[:f.ends[0]]
	}
	return f.rows[f.ends[i-1]:f.ends[i]]
}

// add puts a row behind the others. Nobody else looks there.
func (f *family) add(row []byte) {
	f.rows = append(f.rows, row...)
	f.ends = append(f.ends, uint32(len(f.rows)))
}

// from is how many rows are row or come after it: the first so many.
func (f *family) from(row []byte) int {
	return sort.Search(len(f.ends), func(i int) bool { return bytes.Compare(f.row(i), row) < 0 })
}

// with is the family with a row more.
func (f family) with(row []byte) family {
	n, at := len(f.ends), f.from(row)
	switch {
	case at > 0 && bytes.Equal(f.row(at-1), row):
		return f
	case n >= maxRows:
		return family{prefix: f.prefix, large: true}
	case at == n:
		f.add(row)
		return f
	}
	more := family{prefix: f.prefix, rows: make([]byte, 0, len(f.rows)+len(row)), ends: make([]uint32, 0, n+1)}
	for i := range n {
		if i == at {
			more.add(row)
		}
		more.add(f.row(i))
	}
	return more
}

// Scan is songsplayed.Table's.
func (t *Table) Scan(ctx context.Context, from, to []byte, limit int, visit func(key []byte) bool) error {
	prefix := rowkey.Prefix(from)
	if prefix == nil || !bytes.HasPrefix(to, prefix) {
		return t.Table.Scan(ctx, from, to, limit, visit)
	}
	hash := t.hash(prefix)
	f, known := t.known.GetIfPresent(hash)
	if !known || f.prefix != string(prefix) {
		var err error
		if f, err = t.read(ctx, hash, prefix); err != nil {
			return err
		}
	}
	if f.large {
		return t.Table.Scan(ctx, from, to, limit, visit)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("scanning rows: %w", err)
	}
	if t.closed.Load() {
		return fmt.Errorf("scanning rows: %w", songsplayed.ErrClosed)
	}
	f.scan(from, to, limit, visit)
	return nil
}

func (f *family) scan(from, to []byte, limit int, visit func(key []byte) bool) {
	first, last := from[len(f.prefix):], to[len(f.prefix):]
	key := append(make([]byte, 0, rowkey.MaxLen), f.prefix...)
	for i := f.from(first) - 1; i >= 0 && bytes.Compare(f.row(i), last) < 0 && limit > 0; i-- {
		if !visit(append(key, f.row(i)...)) {
			return
		}
		limit--
	}
}

// read reads a family, and remembers it unless it was written to meanwhile.
func (t *Table) read(ctx context.Context, hash uint64, prefix []byte) (family, error) {
	puts, deletes := t.putsOf(hash).Load(), t.deletes.Load()
	var backwards family
	end := bytes.Clone(prefix)
	end[len(end)-1]++ // the byte after '#'
	err := t.Table.Scan(ctx, prefix, end, maxRows+1, func(key []byte) bool {
		backwards.add(key[len(prefix):])
		return true
	})
	f := family{prefix: string(prefix)}
	if err != nil {
		return f, err
	}
	if n := len(backwards.ends); n > maxRows {
		f.large = true
	} else {
		f.rows, f.ends = make([]byte, 0, len(backwards.rows)), make([]uint32, 0, n)
		for i := range n {
			f.add(backwards.row(n - 1 - i))
		}
	}
	t.known.Compute(hash, func(old family, found bool) (family, otter.ComputeOp) {
		if t.putsOf(hash).Load() != puts || t.deletes.Load() != deletes {
			return old, otter.CancelOp
		}
		return f, otter.WriteOp
	})
	return f, nil
}

// Delete is songsplayed.Table's.
func (t *Table) Delete(ctx context.Context, from, to []byte) error {
	t.deletes.Add(1)
	err := t.Table.Delete(ctx, from, to)
	t.deletes.Add(1)
	if prefix := rowkey.Prefix(from); prefix != nil && bytes.HasPrefix(to, prefix) {
		t.known.Invalidate(t.hash(prefix))
	} else {
		t.known.InvalidateAll()
	}
	return err
}

// Close is songsplayed.Table's.
func (t *Table) Close() error {
	t.closed.Store(true)
	t.known.InvalidateAll()
	t.known.StopAllGoroutines()
	return t.Table.Close()
}
