package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"homefeed/pipeline/event"
)

// ErrClosed is what every call on a closed store returns.
var ErrClosed = errors.New("the store is closed")

// MaxCells is how many cells one Write takes: every shelf of a trigger in every experiment arm, with room to spare.
const MaxCells = 128

// maxShelf is the longest column: a shelf's name (40), "~" and a variant.
const maxShelf = 96

// CheckKey reports what is wrong with a key that UserKey or MarketKey did not make. Every store calls it, so
// that a key put together by hand can neither split a listener's row in two nor reach somebody else's.
func CheckKey(key Key) error {
	if user, ok := strings.CutPrefix(string(key), "u#"); ok {
		if len(user) < 6 || user[4] != '#' || !event.ValidUser(user[5:]) {
			return errors.New("row key: want u#<4 hex of sha256(user)>#<user>, as made by UserKey")
		}
		var hash [4]byte
		sum := sha256.Sum256([]byte(user[5:]))
		hex.Encode(hash[:], sum[:2])
		if user[:4] != string(hash[:]) {
			return errors.New("row key: the hash is not the user's: want a key made by UserKey")
		}
		return nil
	}
	if market, ok := strings.CutPrefix(string(key), "m#"); ok {
		if !event.ValidUser(market) || len(market) > 3 {
			return errors.New("row key: want m#<market>, as made by MarketKey")
		}
		return nil
	}
	return errors.New("row key: want a key made by UserKey or MarketKey")
}

// CheckWrite reports what is wrong with the arguments of a Write, naming the field. Stores refuse the same
// writes, whatever their engine would have taken.
func CheckWrite(key Key, cells []Cell) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(cells) > MaxCells {
		return fmt.Errorf("cells: %d in one write: want at most %d", len(cells), MaxCells)
	}
	for i := range cells {
		c := &cells[i]
		if !validColumn(c.Shelf) {
			return fmt.Errorf("cells[%d].shelf: %.100q: want name or name~variant: a–z 0–9 _, then A–Z a–z 0–9 . _ -, at most %d bytes",
				i, c.Shelf, maxShelf)
		}
		if err := checkTime(c.AsOf); err != nil {
			return fmt.Errorf("cells[%d].asOf of %s: %w", i, c.Shelf, err)
		}
		if c.AsOf.Nanosecond()%int(time.Millisecond) != 0 {
			return fmt.Errorf("cells[%d].asOf of %s: want whole milliseconds", i, c.Shelf)
		}
		if len(c.Data) > MaxCell {
			return fmt.Errorf("cells[%d].data of %s: %d bytes: want at most %d", i, c.Shelf, len(c.Data), MaxCell)
		}
	}
	return nil
}

// CheckRead reports what is wrong with the arguments of a Read.
func CheckRead(key Key, versions int) error {
	if versions < 1 || versions > Versions {
		return fmt.Errorf("versions: %d: want 1 to %d", versions, Versions)
	}
	return CheckKey(key)
}

// CheckDelete reports what is wrong with the arguments of a Delete. A fraction of a millisecond in at is no
// mistake: cells have none, so cutting it off hides the same cells.
func CheckDelete(key Key, at time.Time) error {
	if err := checkTime(at); err != nil {
		return fmt.Errorf("at: %w", err)
	}
	return CheckKey(key)
}

// lastTime keeps a time's milliseconds and microseconds far inside 64 bits.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func checkTime(t time.Time) error {
	if t.Before(time.UnixMilli(0)) || t.After(lastTime) {
		return errors.New("want a time from 1970 to 9999")
	}
	return nil
}

func validColumn(s string) bool {
	name, variant, has := strings.Cut(s, "~")
	if name == "" || len(s) > maxShelf || has && !event.ValidUser(variant) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
