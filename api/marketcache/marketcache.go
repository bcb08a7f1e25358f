// Package marketcache keeps the rows of markets in memory. Every Home of a market shows the same row, so the first one
// waits for the store and later ones take what is there.
package marketcache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"homefeed/shelves/store"
)

// Read reads a row; it has a deadline of its own.
type Read func(ctx context.Context, key store.Key) (store.Row, error)

// Cache is a cache of rows, safe for concurrent use. Its size is bounded by the keys that callers ask for: the valid
// market codes are 676 and the world's.
type Cache struct {
	read Read
	now  func() time.Time
	soft time.Duration // a row older than this is read again in the background; also the pause after a failure
	hard time.Duration // a row older than this is not shown: nobody has asked for long

	ctx     context.Context // of the reads
	stop    context.CancelFunc
	running sync.WaitGroup // the reads

	mu   sync.Mutex
	rows map[store.Key]*entry
}

type entry struct {
	row     store.Row
	at      time.Time     // when row was read; zero: never
	tried   time.Time     // when a read last ended
	err     error         // of the last read
	reading chan struct{} // closed when the read under way ends; nil: none is
}

// ErrClosed is what Get says of a row that was not read before Close.
var ErrClosed = errors.New("market cache is closed")

// New makes a cache whose rows are read again once they are older than age, by the clock now. A row that nobody has
// asked for in twenty times that age is waited for again.
func New(age time.Duration, now func() time.Time, read Read) *Cache {
	c := &Cache{read: read, now: now, soft: age, hard: 20 * age, rows: map[store.Key]*entry{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Get is the market's row. It waits for the store the first time only; while the store fails, the older row stays
// until it is too old. Its error is the store's, ctx's or ErrClosed.
func (c *Cache) Get(ctx context.Context, key store.Key) (store.Row, error) {
	now := c.now()
	c.mu.Lock()
	kept := c.rows[key]
	if kept == nil {
		kept = new(entry)
		c.rows[key] = kept
	}
	usable := now.Sub(kept.at) <= c.hard
	if now.Sub(kept.at) > c.soft && now.Sub(kept.tried) > c.soft && kept.reading == nil && !c.closed(&kept.err) {
		kept.reading = make(chan struct{})
		c.running.Go(func() { c.again(key, kept) })
	}
	row, err, reading := kept.row, kept.err, kept.reading
	c.mu.Unlock()
	switch {
	case usable:
		return row, nil
	case reading == nil: // it failed a moment ago, or the cache is closed
		return store.Row{}, err
	}
	select {
	case <-reading:
	case <-ctx.Done():
		return store.Row{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept.err != nil {
		return store.Row{}, kept.err
	}
	return kept.row, nil
}

// closed reports whether Close was called, and puts that into err.
func (c *Cache) closed(err *error) bool {
	if c.ctx.Err() == nil {
		return false
	}
	*err = ErrClosed
	return true
}

// again reads once. When that fails the older row stays until it is too old.
func (c *Cache) again(key store.Key, kept *entry) {
	row, err := c.guarded(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	kept.tried, kept.err = c.now(), err
	if err == nil {
		kept.row, kept.at = row, kept.tried
	}
	close(kept.reading)
	kept.reading = nil
}

func (c *Cache) guarded(key store.Key) (row store.Row, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading market row: panic: %v", p)
		}
	}()
	return c.read(c.ctx, key)
}

// Close ends the reads and waits for them.
func (c *Cache) Close() {
	c.mu.Lock()
	c.stop()
	c.mu.Unlock()
	c.running.Wait()
}
