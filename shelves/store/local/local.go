// Package local is the row store of one machine: an embedded, durable Pebble database in a directory of its own.
//
// A row is one key and one value (row.go). A Write adds its cells as a merge operand, without reading: the
// engine joins operands when the row is read and when it compacts, and drops there what is older than
// store.Versions generations or hidden by a tombstone. So a Write is one record in the log, atomic by itself,
// a Read is one look-up, and neither takes a lock on the row.
//
// Writers that commit at the same time share one sync of the log. After kill -9, Open replays the log.
//
// Memory is bounded by Config: the block cache, four write buffers, and 64 MiB of writes in flight.
// README.md has the measurements that chose the engine and the layout.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/semaphore"

	"homefeed/shelves/store"
)

// Config says where the rows are and what they may cost.
type Config struct {
	// Dir holds the store; it is made when it is missing. One process opens it at a time.
	Dir string
	// CacheBytes bounds the block cache, outside Go's heap where cgo is on; the write buffers in use count as part of it.
	// 0 means 64 MiB.
	CacheBytes int64
	// BufferBytes is the size of a write buffer; up to four are in memory, and Open replays at most that much.
	// 0 means 16 MiB; less than 1 MiB is refused.
	BufferBytes uint64
	// NoSync acknowledges a write before it is on disk: a crash may lose the last moments. For throw-away data.
	NoSync bool
	// Log takes what the engine has to say; nil means nothing is logged.
	Log *slog.Logger
}

// maxInFlight bounds the bytes of writes that have begun and are not on disk, their callers gone or not.
const maxInFlight = 64 << 20

// Store is a store.Store. Make it with Open.
type Store struct {
	db       *pebble.DB
	sync     *pebble.WriteOptions
	inFlight *semaphore.Weighted
	buffers  sync.Pool // of *[]byte, rows before they are in a batch

	open   sync.RWMutex // held for reading by every call, and by a commit that has outlived its caller
	closed bool
}

var _ store.Store = (*Store)(nil)

// Open opens the store in cfg.Dir, or makes it. It fails when another process has it open, when the directory
// holds something else, or when what it holds is corrupt.
//
// When the disk fails under the log or the manifest, the engine can't know what is on disk. It then logs the
// reason and ends the process with status 1: what was acknowledged is there when the disk is. A damaged block is
// less: the rows in it can't be read, and the others go on.
func Open(cfg Config) (*Store, error) {
	// Pebble's own wrapper of the file system starts a clock a file; a store at rest should cost nothing.
	return openOn(vfs.Default, cfg)
}

func openOn(fs vfs.FS, cfg Config) (*Store, error) {
	switch {
	case cfg.Dir == "":
		return nil, errors.New("opening row store: dir: want a directory")
	case cfg.CacheBytes < 0:
		return nil, fmt.Errorf("opening row store: cache bytes: %d: want 0 or more", cfg.CacheBytes)
	case cfg.BufferBytes != 0 && (cfg.BufferBytes < 1<<20 || cfg.BufferBytes > 1<<30):
		return nil, fmt.Errorf("opening row store: buffer bytes: %d: want 1 MiB to 1 GiB, or 0", cfg.BufferBytes)
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 64 << 20
	}
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = 16 << 20
	}
	db, err := pebble.Open(cfg.Dir, options(fs, cfg))
	if err != nil {
		return nil, fmt.Errorf("opening row store in %s: %w", cfg.Dir, err)
	}
	s := &Store{db: db, sync: pebble.Sync, inFlight: semaphore.NewWeighted(maxInFlight)}
	if cfg.NoSync {
		s.sync = pebble.NoSync
	}
	s.buffers.New = func() any { return new([]byte) }
	return s, nil
}

// begin enters the store; the caller leaves it with open.RUnlock.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.open.RLock()
	if s.closed {
		s.open.RUnlock()
		return store.ErrClosed
	}
	return nil
}

// Write adds the cells. When ctx ends while the write is under way, Write returns ctx's error at once and the
// write may still take place; it is whole or not at all.
func (s *Store) Write(ctx context.Context, key store.Key, cells ...store.Cell) error {
	if err := store.CheckWrite(key, cells); err != nil {
		return fmt.Errorf("writing row: %w", err)
	}
	if len(cells) == 0 {
		return nil
	}
	size := rowSize(cells)
	if err := s.merge(ctx, key, size, func(dst []byte) []byte { return appendRow(dst, cells) }); err != nil {
		return fmt.Errorf("writing row: %w", err)
	}
	return nil
}

// Delete hides everything at or before at; what it hides leaves the disk with the next compaction of the row.
func (s *Store) Delete(ctx context.Context, key store.Key, at time.Time) error {
	err := store.CheckDelete(key, at)
	if err == nil {
		err = s.merge(ctx, key, 16, func(dst []byte) []byte { return appendTombstone(dst, at) })
	}
	if err != nil {
		return fmt.Errorf("deleting row: %w", err)
	}
	return nil
}

// merge adds a row of at most size bytes to the row at key.
func (s *Store) merge(ctx context.Context, key store.Key, size int, encode func([]byte) []byte) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.inFlight.Acquire(ctx, int64(size)); err != nil {
		s.open.RUnlock()
		return err
	}
	leave := func() {
		s.inFlight.Release(int64(size))
		s.open.RUnlock()
	}
	batch := s.db.NewBatchWithSize(size + len(key) + 64)
	buffer := s.buffers.Get().(*[]byte)
	*buffer = encode((*buffer)[:0])
	err := batch.Merge([]byte(key), *buffer, nil) // which copies it
	s.buffers.Put(buffer)
	if err != nil {
		leave()
		return errors.Join(err, batch.Close())
	}
	if ctx.Done() == nil {
		defer leave()
		return commit(batch, s.sync)
	}
	// The engine can't be interrupted, so the commit has a goroutine: it ends with the commit, which Close awaits.
	done := make(chan error, 1)
	go func() {
		defer leave()
		done <- commit(batch, s.sync)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func commit(batch *pebble.Batch, sync *pebble.WriteOptions) error {
	return errors.Join(batch.Commit(sync), batch.Close())
}

// Read looks the row up. It observes a ctx that has ended, but does not give up a read of the disk half way.
func (s *Store) Read(ctx context.Context, key store.Key, versions int) (row store.Row, err error) {
	err = s.get(ctx, key, versions, func(encoded []byte) (err error) {
		row, err = decodeRow(encoded, versions)
		return err
	})
	return row, err
}

// View is Read without the copy: the row is the engine's memory. Close waits until see has returned.
func (s *Store) View(ctx context.Context, key store.Key, versions int, see func(store.Row)) error {
	var row store.Row
	found := false
	err := s.get(ctx, key, versions, func(encoded []byte) (err error) {
		if row, err = viewRow(encoded, versions); err == nil {
			found = true
			see(row)
		}
		return err
	})
	if err == nil && !found {
		see(row)
	}
	return err
}

// get calls use with the encoded row, if there is one, which is the engine's until use returns.
func (s *Store) get(ctx context.Context, key store.Key, versions int, use func([]byte) error) error {
	err := store.CheckRead(key, versions)
	if err == nil {
		err = s.begin(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading row: %w", err)
	}
	defer s.open.RUnlock()
	encoded, value, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err == nil {
		defer func() { _ = value.Close() }() // gives memory back, and can't fail
		err = use(encoded)
	}
	if err != nil {
		return fmt.Errorf("reading row: %w", err)
	}
	return nil
}

// Close waits for the calls under way and closes the store. Calls after it return store.ErrClosed.
func (s *Store) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return fmt.Errorf("closing row store: %w", store.ErrClosed)
	}
	s.closed = true
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing row store: %w", err)
	}
	return nil
}
