// Package rowcache keeps listeners' rows in memory in front of the store: a listener who comes back within seconds
// costs no read, many at once cost one, and a store that is away leaves everybody the row that was last seen.
package rowcache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2" // bounded by weight, with an eviction policy that scans don't spoil
	"golang.org/x/sync/singleflight"

	"homefeed/shelves/store"
)

// Store is what a Cache stands in front of: a store.Store that somebody else closes.
type Store interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
	Write(ctx context.Context, key store.Key, cells ...store.Cell) error
	Delete(ctx context.Context, key store.Key, at time.Time) error
}

// Options bound a Cache. Zero fields take the defaults named there.
type Options struct {
	// Age is for how long a row is taken as it was read; 0 means 2 s. Writes through the Cache are seen at once.
	Age time.Duration
	// Keep is for how long a row stands in while the store is away; 0 means 10 min.
	Keep time.Duration
	// Bytes is about how much memory the rows take, and their outlines a quarter of it more; 0 means 256 MiB.
	Bytes uint64
	// Timeout is the deadline of a read of the store, which goes on when the one who asked for it has left, because
	// others may wait for it; 0 means 300 ms.
	Timeout time.Duration
	Now     func() time.Time // nil: time.Now
}

// Cache is a store with memory. It is safe for concurrent use.
type Cache struct {
	store    Store
	options  Options
	rows     *otter.Cache[store.Key, entry]
	outlines *otter.Cache[store.Key, entry] // without data, for whoever writes
	flights  singleflight.Group
	seed     maphash.Seed
	// writes counts the beginnings and ends of writes to the keys of a slot: a read from before one is not kept after
	// it, and a write that was not alone is not merged with what is kept.
	writes   [4096]atomic.Uint64
	failures atomic.Int32 // how many reads have failed since the last that has not
}

// ErrAway says that the store has failed so often that nobody waits for it. One read at a time finds out when it is
// back.
var ErrAway = errors.New("row store is away")

// tolerated is how many reads in a row may fail until the store counts as away: enough that a store which fails one in
// ten seldom does, few enough that one which hangs holds up hardly anybody.
const tolerated = 5

// findsOut names the one read under way that tells whether the store is back. No row has this key.
const findsOut = ""

type entry struct {
	row store.Row
	at  time.Time
}

// New makes a Cache in front of s.
func New(s Store, o Options) (*Cache, error) {
	if o.Age <= 0 {
		o.Age = 2 * time.Second
	}
	if o.Keep <= 0 {
		o.Keep = 10 * time.Minute
	}
	if o.Bytes == 0 {
		o.Bytes = 256 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 300 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cache{store: s, options: o, seed: maphash.MakeSeed()}
	var err error
	if c.rows, err = newEntries(o.Bytes); err != nil {
		return nil, err
	}
	if c.outlines, err = newEntries(o.Bytes / 4); err != nil {
		return nil, err
	}
	return c, nil
}

func newEntries(size uint64) (*otter.Cache[store.Key, entry], error) {
	entries, err := otter.New(&otter.Options[store.Key, entry]{
		MaximumWeight: size, // and no expiry, whose upkeep every look would pay for: an entry's time says it
		Weigher:       weigh,
		Executor:      func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
	if err != nil {
		return nil, fmt.Errorf("making row cache: %w", err)
	}
	return entries, nil
}

// overhead is about what an entry takes besides its cells' data.
const overhead = 512

func weigh(key store.Key, e entry) uint32 {
	n := overhead + len(key)
	for _, c := range e.row.Cells {
		n += 64 + len(c.Shelf) + len(c.Data)
	}
	return uint32(n)
}

// Read is store.Store's, but that the row is shared: nobody may change it. When the store fails, the row is the one
// last seen, if any, and comes with the store's error, or at once with ErrAway while it fails all the time. More than one version, and rows of markets, are not kept.
func (c *Cache) Read(ctx context.Context, key store.Key, versions int) (store.Row, error) {
	if versions != 1 || !strings.HasPrefix(string(key), "u#") {
		return c.store.Read(ctx, key, versions)
	}
	kept, young := c.peek(key, c.options.Now())
	if young {
		return kept.row, nil
	}
	load := func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.options.Timeout)
		defer cancel()
		return c.load(ctx, key)
	}
	if c.failures.Load() >= tolerated {
		c.flights.DoChan(findsOut, load) // nobody waits for it
		return kept.row, fmt.Errorf("reading row: %w", ErrAway)
	}
	flight := c.flights.DoChan(string(key), load)
	select {
	case done := <-flight:
		if done.Err != nil {
			return kept.row, done.Err
		}
		return done.Val.(store.Row), nil
	case <-ctx.Done():
		return kept.row, fmt.Errorf("reading row: %w", ctx.Err())
	}
}

// View is store.View of the store: what Read does not keep need not be copied.
func (c *Cache) View(ctx context.Context, key store.Key, versions int, see func(store.Row)) error {
	return store.View(ctx, c.store, key, versions, see)
}

// Peek is the row when Read(ctx, key, 1) would find it in memory now.
func (c *Cache) Peek(key store.Key, now time.Time) (row store.Row, ok bool) {
	kept, ok := c.peek(key, now)
	return kept.row, ok
}

// peek is what is kept and may still stand in, and whether it is taken as it is.
func (c *Cache) peek(key store.Key, now time.Time) (kept entry, young bool) {
	kept, known := c.rows.GetIfPresent(key)
	age := now.Sub(kept.at)
	if !known || age > c.options.Keep {
		return entry{}, false
	}
	return kept, age <= c.options.Age
}

func (c *Cache) load(ctx context.Context, key store.Key) (row store.Row, err error) {
	defer func() { // else singleflight ends the process
		if p := recover(); p != nil {
			err = fmt.Errorf("reading row: panic: %v", p)
		}
	}()
	writes := c.slot(key)
	before, at := writes.Load(), c.options.Now()
	if row, err = c.store.Read(ctx, key, 1); err != nil {
		c.failures.Add(1)
		return row, err
	}
	c.failures.Store(0)
	remember(c.rows, key, entry{row, at}, writes, before)
	return row, nil
}

// remember keeps what was read while writes was before, unless there has been a write since.
func remember(in *otter.Cache[store.Key, entry], key store.Key, read entry, writes *atomic.Uint64, before uint64) {
	in.Compute(key, func(old entry, found bool) (entry, otter.ComputeOp) {
		if writes.Load() != before || found && old.at.After(read.at) {
			return old, otter.CancelOp
		}
		return read, otter.WriteOp
	})
}

// Outline is store.Outline of the store, or what is known of it here: whoever writes a row asks for it first.
func (c *Cache) Outline(ctx context.Context, key store.Key) (store.Row, error) {
	if !key.Listener() {
		return store.Outline(ctx, c.store, key)
	}
	writes, at := c.slot(key), c.options.Now()
	if kept, known := c.outlines.GetIfPresent(key); known && at.Sub(kept.at) <= c.options.Age {
		return kept.row, nil
	}
	before := writes.Load()
	row, err := store.Outline(ctx, c.store, key)
	if err == nil {
		remember(c.outlines, key, entry{row, at}, writes, before)
	}
	return row, err
}

// Write is store.Store's. The next Read has it: in the row that is kept, or from the store when the write failed or
// another one of the same row was under way. Nobody may change the cells afterwards.
func (c *Cache) Write(ctx context.Context, key store.Key, cells ...store.Cell) error {
	writes := c.slot(key)
	alone := writes.Add(1) + 1
	err := c.store.Write(ctx, key, cells...)
	writes.Add(1)
	c.flights.Forget(string(key))
	update := func(in *otter.Cache[store.Key, entry], cells []store.Cell) {
		in.ComputeIfPresent(key, func(old entry) (entry, otter.ComputeOp) {
			if err != nil || writes.Load() != alone {
				return old, otter.InvalidateOp
			}
			return entry{merge(old.row, cells), old.at}, otter.WriteOp
		})
	}
	update(c.rows, cells)
	bare := slices.Clone(cells)
	for i := range bare {
		bare[i].Data = nil
	}
	update(c.outlines, bare)
	return err
}

// merge is the row with one version of each shelf as it is after cells were written.
func merge(row store.Row, cells []store.Cell) store.Row {
	merged := slices.Clone(row.Cells) // readers have the old one
	for _, c := range cells {
		if !row.DeletedAt.IsZero() && !c.AsOf.After(row.DeletedAt) {
			continue
		}
		at, found := slices.BinarySearchFunc(merged, c.Shelf, func(have store.Cell, shelf string) int {
			return strings.Compare(have.Shelf, shelf)
		})
		switch {
		case !found:
			merged = slices.Insert(merged, at, c)
		case !c.AsOf.Before(merged[at].AsOf):
			merged[at] = c
		}
	}
	return store.Row{Cells: merged, DeletedAt: row.DeletedAt}
}

// Delete is store.Store's. Whatever became of it, the next Read asks the store.
func (c *Cache) Delete(ctx context.Context, key store.Key, at time.Time) error {
	defer c.forget(key)
	return c.store.Delete(ctx, key, at)
}

// forget drops the row and whatever a read that is under way will bring.
func (c *Cache) forget(key store.Key) {
	c.slot(key).Add(1)
	c.flights.Forget(string(key))
	c.rows.Invalidate(key)
	c.outlines.Invalidate(key)
}

func (c *Cache) slot(key store.Key) *atomic.Uint64 {
	return &c.writes[maphash.String(c.seed, string(key))%uint64(len(c.writes))]
}

// Close ends the cache's own upkeep; the store stays open. The cache may still be used.
func (c *Cache) Close() {
	c.rows.StopAllGoroutines()
	c.outlines.StopAllGoroutines()
}
