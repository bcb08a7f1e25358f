// Package erasures knows which listeners had something erased, so that whoever records need not ask about each: they
// are few, and every batch has many listeners. It keeps an index of its own rows in the table, newest first, and
// remembers them in a filter of fixed size: what the filter doesn't have was not erased; what it has may have been.
package erasures

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

const (
	first    = "e#"
	afterAll = "e$" // the byte after '#'
	// maxMillis is the largest time that a key can hold, as in the service's other keys.
	maxMillis = 9_999_999_999_999
	width     = 13
)

// Key is the key of the index that says that something of the listener's was erased at ms, in milliseconds by the clock
// of the server that does it. The user must be valid.
func Key(user string, ms int64) []byte {
	return fmt.Appendf(nil, "%s%0*d#%s", first, width, maxMillis-min(max(ms, 0), maxMillis), user)
}

// Table is what is read of the table; a Scan sees every row whose Put returned before it began.
type Table interface {
	Scan(ctx context.Context, from, to []byte, limit int, visit func(key []byte) bool) error
}

const (
	// overlap is by how much the clocks of two servers may differ: that much is read again each time.
	overlap = 10 * time.Minute
	// page is how many keys one scan reads.
	page = 10_000
	// bits is the filter's size, 1 MiB. With a million listeners erased, one in forty others is looked up in vain.
	bits = 8 << 20
	// probes is how many bits each listener sets.
	probes = 4
)

// Index is one server's knowledge. It is safe for concurrent use.
type Index struct {
	table Table
	now   func() time.Time
	seed  maphash.Seed

	mu     sync.RWMutex
	filter []uint64
	read   time.Time // up to when the index was read; zero: never
}

// New makes an Index that knows nothing until Update.
func New(table Table, now func() time.Time) *Index {
	return &Index{table: table, now: now, seed: maphash.MakeSeed(), filter: make([]uint64, bits/64)}
}

var errMalformed = errors.New("a key of the index of erasures is malformed")

// Update reads what was erased since the last time, also by other servers. Every erasure whose index row was there when
// it began is known after nil.
func (x *Index) Update(ctx context.Context) error {
	began := x.now()
	x.mu.RLock()
	since := x.read
	x.mu.RUnlock()
	to := []byte(afterAll)
	if !since.IsZero() {
		to = fmt.Appendf(nil, "%s%0*d$", first, width, maxMillis-max(since.Add(-overlap).UnixMilli(), 0))
	}
	for from := []byte(first); ; {
		keys, err := x.page(ctx, from, to)
		if err != nil {
			return fmt.Errorf("reading the index of erasures: %w", err)
		}
		if len(keys) < page {
			break
		}
		from = append(keys[len(keys)-1], 0)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if began.After(x.read) {
		x.read = began
	}
	return nil
}

// Load is Update until it has succeeded once, and nothing from then on.
func (x *Index) Load(ctx context.Context) error {
	x.mu.RLock()
	known := !x.read.IsZero()
	x.mu.RUnlock()
	if known {
		return nil
	}
	return x.Update(ctx)
}

// Add notes that something of the listener's is about to be erased by this server.
func (x *Index) Add(user string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.add(user)
}

func (x *Index) add(user string) {
	for _, bit := range x.bitsOf(user) {
		x.filter[bit/64] |= 1 << (bit % 64)
	}
}

func (x *Index) page(ctx context.Context, from, to []byte) (keys [][]byte, err error) {
	malformed := false
	err = x.table.Scan(ctx, from, to, page, func(key []byte) bool {
		keys = append(keys, append([]byte(nil), key...))
		malformed = len(key) < len(first)+width+2 || key[len(first)+width] != '#'
		return !malformed
	})
	if malformed {
		return nil, errMalformed
	}
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range keys {
		x.add(string(key[len(first)+width+1:]))
	}
	return keys, nil
}

// MayHave reports whether the listener may have had something erased, as far as Update knows.
func (x *Index) MayHave(user string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, bit := range x.bitsOf(user) {
		if x.filter[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

// bitsOf takes two hashes apart into as many as are needed (Kirsch and Mitzenmacher 2006).
func (x *Index) bitsOf(user string) (at [probes]uint64) {
	h := maphash.String(x.seed, user)
	step := h>>32 | 1
	for i := range at {
		at[i] = (h + uint64(i)*step) % bits
	}
	return at
}
