// Package tablecache keeps in memory what is read of a songs-played table, for a service that is alone with it: it sees
// every row that is put, so what it remembers is what the table has. A refresh asks for a listener's plays five times
// over, and a table in files takes them together from several files each time.
package tablecache

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/maypok86/otter/v2" // a bounded cache that tells what is asked for again from what is not

	"homefeed/services/songsplayed"
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

// family is the rows with one prefix. It never changes: later ones share its memory.
type family struct {
	prefix string
	rows   []string // what follows the prefix, the last first, because new plays come before all others
	large  bool     // there are more than maxRows, and rows is empty
}

// New remembers about so many bytes of t's rows. Close closes t.
func New(t songsplayed.Table, size uint64) (*Table, error) {
	known, err := otter.New(&otter.Options[uint64, family]{
		MaximumWeight: size,
		Weigher:       func(_ uint64, f family) uint32 { return uint32(128 + len(f.prefix) + 56*cap(f.rows)) },
		Executor:      func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
	if err != nil {
		return nil, fmt.Errorf("making cache of the songs-played table: %w", err)
	}
	return &Table{Table: t, known: known, seed: maphash.MakeSeed()}, nil
}

// prefixOf is what the keys of a listener's family begin with: "u#", a hash, the listener and the family, a '#' after
// each. Other keys have none.
func prefixOf(key []byte) []byte {
	end := 0
	for range 4 {
		i := bytes.IndexByte(key[end:], '#')
		if i < 0 {
			return nil
		}
		end += i + 1
	}
	if !bytes.HasPrefix(key, []byte("u#")) {
		return nil
	}
	return key[:end]
}

func (t *Table) hash(prefix []byte) uint64 { return maphash.Bytes(t.seed, prefix) }

func (t *Table) putsOf(hash uint64) *atomic.Uint64 { return &t.puts[hash%uint64(len(t.puts))] }

// Put is songsplayed.Table's.
func (t *Table) Put(ctx context.Context, rows []songsplayed.Row) error {
	hashes := make([]uint64, len(rows))
	for i, r := range rows {
		hashes[i] = t.hash(prefixOf(r.Key))
		t.putsOf(hashes[i]).Add(1)
	}
	deletes := t.deletes.Load()
	err := t.Table.Put(ctx, rows)
	for i, r := range rows {
		t.putsOf(hashes[i]).Add(1) // before the row is added: who reads meanwhile and missed it then remembers nothing
		prefix := prefixOf(r.Key)
		if prefix == nil {
			continue
		}
		t.known.ComputeIfPresent(hashes[i], func(f family) (family, otter.ComputeOp) {
			switch {
			case err != nil || t.deletes.Load() != deletes: // it may be there and may not
				return f, otter.InvalidateOp
			case f.large || f.prefix != string(prefix):
				return f, otter.CancelOp
			}
			return f.with(string(r.Key[len(prefix):])), otter.WriteOp
		})
	}
	return err
}

// with is the family with a row more.
func (f family) with(row string) family {
	n := len(f.rows)
	at, found := slices.BinarySearchFunc(f.rows, row, func(a, b string) int { return strings.Compare(b, a) })
	switch {
	case found:
	case n >= maxRows:
		f.rows, f.large = nil, true
	case at == n:
		f.rows = append(f.rows, row) // nobody else looks behind the end
	default:
		rows := append(make([]string, 0, n+1), f.rows[:at]...)
		f.rows = append(append(rows, row), f.rows[at:]...)
	}
	return f
}

// Scan is songsplayed.Table's.
func (t *Table) Scan(ctx context.Context, from, to []byte, limit int, visit func(key []byte) bool) error {
	prefix := prefixOf(from)
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

func (f family) scan(from, to []byte, limit int, visit func(key []byte) bool) {
	first, last := string(from[len(f.prefix):]), string(to[len(f.prefix):])
	key := append(make([]byte, 0, songsplayed.MaxKey), f.prefix...)
	// The rows from first on are those up to the one behind which all are smaller.
	behind, _ := slices.BinarySearchFunc(f.rows, first, func(row, first string) int {
		if row >= first {
			return -1
		}
		return 1
	})
	for i := behind - 1; i >= 0 && f.rows[i] < last && limit > 0; i-- {
		if !visit(append(key, f.rows[i]...)) {
			return
		}
		limit--
	}
}

// read reads a family, and remembers it unless it was written to meanwhile.
func (t *Table) read(ctx context.Context, hash uint64, prefix []byte) (family, error) {
	puts, deletes := t.putsOf(hash).Load(), t.deletes.Load()
	f := family{prefix: string(prefix)}
	end := bytes.Clone(prefix)
	end[len(end)-1]++ // the byte after '#'
	err := t.Table.Scan(ctx, prefix, end, maxRows+1, func(key []byte) bool {
		f.rows = append(f.rows, string(key[len(prefix):]))
		return true
	})
	if err != nil {
		return f, err
	}
	if len(f.rows) > maxRows {
		f.rows, f.large = nil, true
	}
	slices.Reverse(f.rows)
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
	if prefix := prefixOf(from); prefix != nil && bytes.HasPrefix(to, prefix) {
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
