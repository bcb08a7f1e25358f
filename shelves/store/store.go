// Package store is the contract with the row store: Bigtable in production (store/bigtable), Pebble on one
// machine (store/local). storetest holds the contract test that both pass.
//
// A row is one listener (or one market); it has a column a shelf and a few versions of each cell, told apart by
// as-of time. The newest as-of wins, whatever the order of writing.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"homefeed/pipeline/event"
)

// Versions is how many generations of a cell are kept; the newest is kept for good.
const Versions = 3

// MaxCell is the largest cell. Bigtable's limit is 10 MB; a shelf of 20 cards is about 4 KB.
const MaxCell = 256 << 10

// Key is a row's key. Make it with UserKey or MarketKey: they validate.
type Key string

// UserKey is u#<4 hex of sha256(user)>#<user>: the hash spreads writes over tablets. The error says what a
// valid id looks like.
func UserKey(user string) (Key, error) {
	if !event.ValidUser(user) {
		return "", fmt.Errorf("row key: user: want 1–64 of A–Z a–z 0–9 . _ -")
	}
	sum := sha256.Sum256([]byte(user))
	var scratch [80]byte
	b := append(hex.AppendEncode(append(scratch[:0], "u#"...), sum[:2]), '#')
	return Key(append(b, user...)), nil
}

// MarketKey is m#<market>, the row of what belongs to nobody, such as trending.
func MarketKey(market string) (Key, error) {
	if !event.ValidUser(market) || len(market) > 3 {
		return "", fmt.Errorf("row key: market: want an ISO 3166-1 alpha-2 code or 001")
	}
	return Key("m#" + market), nil
}

// Listener reports whether the key is a listener's, and not a market's.
func (k Key) Listener() bool { return strings.HasPrefix(string(k), "u#") }

// Cell is one generation of one shelf.
type Cell struct {
	Shelf string    // the column: a shelf's name, or name~variant
	AsOf  time.Time // whole milliseconds
	Data  []byte    // an encoded shelfpb.Shelf without name, title and status; at most MaxCell
}

// Row is what Read found. The zero Row is "nothing": an unknown row is not an error.
type Row struct {
	Cells []Cell // by shelf, then newest first
	// DeletedAt is the row's tombstone, zero if it has none; Cells has nothing at or before it.
	DeletedAt time.Time
}

// Store keeps rows.
type Store interface {
	// Write adds the cells in one atomic, durable mutation: after nil all of them survive a crash, after an
	// error either all or none are there and writing again is safe. A cell of an as-of that exists is replaced,
	// and of two alike in one Write the later one counts. Cells at or before the tombstone are accepted, never
	// seen and not kept. No cells is no write; more than MaxCells, and whatever else CheckWrite names, is refused.
	Write(ctx context.Context, key Key, cells ...Cell) error
	// Read returns at most versions (1 to Versions) newest cells a shelf, in one read of the store. The row is
	// the caller's own. Times are UTC.
	Read(ctx context.Context, key Key, versions int) (Row, error)
	// Delete hides everything at or before at, now and whenever it is written later, and removes what is there. An
	// older Delete that comes late changes nothing.
	Delete(ctx context.Context, key Key, at time.Time) error
	// Close waits for the calls under way and releases the store; calls after it fail with ErrClosed.
	Close() error
}

// Reader is the part of a Store that View needs.
type Reader interface {
	Read(ctx context.Context, key Key, versions int) (Row, error)
}

// Viewer is a Reader that can show a row where it is, without a copy.
type Viewer interface {
	// View calls see once with what Read returns, or fails as Read does. The row, and whatever it leads to, is gone when
	// see returns, which should therefore be soon.
	View(ctx context.Context, key Key, versions int, see func(Row)) error
}

// Outliner is a Reader that can leave out what cells hold.
type Outliner interface {
	// Outline is Read of one version whose cells have no Data: who only wants to know which generations there are saves
	// the greater part of a read.
	Outline(ctx context.Context, key Key) (Row, error)
}

// Outline is r's own Outline where it has one, else that of a View.
func Outline(ctx context.Context, r Reader, key Key) (outline Row, err error) {
	if o, ok := r.(Outliner); ok {
		return o.Outline(ctx, key)
	}
	err = View(ctx, r, key, 1, func(row Row) {
		outline.DeletedAt = row.DeletedAt
		for _, c := range row.Cells {
			outline.Cells = append(outline.Cells, Cell{Shelf: strings.Clone(c.Shelf), AsOf: c.AsOf})
		}
	})
	return outline, err
}

// View is r's own View where it has one, else a Read.
func View(ctx context.Context, r Reader, key Key, versions int, see func(Row)) error {
	if v, ok := r.(Viewer); ok {
		return v.View(ctx, key, versions, see)
	}
	row, err := r.Read(ctx, key, versions)
	if err == nil {
		see(row)
	}
	return err
}
