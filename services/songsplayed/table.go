package songsplayed

import (
	"context"
	"errors"

	"homefeed/services/songsplayed/rowkey"
)

// Table is the ordered rows that the service keeps: a set of keys, each with the time of what it stands for. A key
// has all that there is to know; the time is for tables that can forget rows by age. tabletest has the contract
// test that every table passes.
type Table interface {
	// Put adds rows. After nil all of them survive a crash; after an error any of them may be there. Adding a row
	// that is there changes nothing, so adding all of them again is safe. It keeps no slice after it returns.
	Put(ctx context.Context, rows []Row) error
	// Scan calls visit with the keys from ≤ key < to in byte order, at most limit of them, until visit returns
	// false. It sees every row whose Put returned before Scan began. A key is valid during its visit only.
	Scan(ctx context.Context, from, to []byte, limit int, visit func(key []byte) bool) error
	// Delete removes the rows from ≤ key < to. After nil they stay away after a crash; after an error any of them may
	// be there, and deleting again is safe. Rows that are put meanwhile may stay.
	Delete(ctx context.Context, from, to []byte) error
	// Close releases the table when calls in progress have returned. Put, Scan and Delete fail with ErrClosed after it;
	// closing again does nothing.
	Close() error
}

// Row is what one action becomes.
type Row struct {
	Key  []byte // at most MaxKey bytes of printable ASCII
	Time int64  // of the action, in milliseconds since 1970
}

// MaxKey is the length of the longest key in bytes.
const MaxKey = rowkey.MaxLen

// ErrClosed is what a table returns after Close.
var ErrClosed = errors.New("the songs-played table is closed")
