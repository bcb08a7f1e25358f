// Package rowkey is the layout of a songs-played row's key, the same in every table:
//
//	u#<4 hex of sha256(user)>#<user>#<family>#<9999999999999 − milliseconds, 13 digits>#<object>
//
// The hash spreads listeners over a cluster. All of a listener lies under one prefix, so that erasing the
// listener is one range delete. Time counts backwards, so a scan meets the newest first and can stop early. No
// part but the last may hold a '#', and every part before the object has a fixed width or ends in one, so no
// listener's keys lie within another's.
//
// Each time that something was done is a row of its own, hearts and follows too: the row is the action. Storing an
// action twice is storing it once, the order of storing doesn't matter, and a reader can ask what was true at
// any time. The newest heart of a track is the first that a scan meets.
package rowkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Family is the part of a listener's rows that has one kind of action.
type Family byte

// The families.
const (
	Plays   Family = 'p'
	Hearts  Family = 'h'
	Follows Family = 'f'
	// Erased is not an action: what is at its time or before it is not seen. It sorts before all the others, so
	// whoever reads a listener from the beginning meets it first.
	Erased Family = 'e'
)

// String is the family as metrics call it.
func (f Family) String() string {
	switch f {
	case Plays:
		return "played"
	case Hearts:
		return "hearted"
	case Follows:
		return "followed"
	}
	return "unknown"
}

const (
	// MaxMillis is the largest time that a key can hold, in the year 2286.
	MaxMillis   = 9_999_999_999_999
	millisWidth = 13
	// MaxLen is the length of the longest key in bytes.
	MaxLen = len("u#0123##p#") + 64 + millisWidth + len("#") + 128
)

// ErrMalformed says that bytes are not a key.
var ErrMalformed = errors.New("a key is malformed")

// AppendPrefix appends what the keys of a listener's family begin with. user must be valid.
func AppendPrefix(dst []byte, user string, f Family) []byte {
	var buf [64]byte
	sum := sha256.Sum256(append(buf[:0], user...))
	dst = append(dst, "u#"...)
	dst = hex.AppendEncode(dst, sum[:2])
	dst = append(dst, '#')
	dst = append(dst, user...)
	return append(dst, '#', byte(f), '#')
}

// AppendMillis appends a time so that later ones sort before earlier ones.
func AppendMillis(dst []byte, ms int64) []byte {
	var digits [millisWidth]byte
	for i, rest := millisWidth-1, MaxMillis-ms; i >= 0; i, rest = i-1, rest/10 {
		digits[i] = '0' + byte(rest%10)
	}
	return append(dst, digits[:]...)
}

// Append appends the key of an action, whose fields must be valid.
func Append(dst []byte, user string, f Family, ms int64, object string) []byte {
	dst = AppendMillis(AppendPrefix(dst, user, f), ms)
	return append(append(dst, '#'), object...)
}

// Bounds are the keys from ≤ key < to of a listener's actions at times start ≤ ms < end, which must lie
// within 0 and MaxMillis+1, start before end. Keys begin with the first prefix bytes of both.
func Bounds(user string, f Family, start, end int64) (from, to []byte, prefix int) {
	from = AppendPrefix(nil, user, f)
	prefix = len(from)
	to = bytes.Clone(from)
	from = append(AppendMillis(from, end-1), '#')
	to = append(AppendMillis(to, start), '#'+1)
	return from, to, prefix
}

// Parse reads what follows a key's prefix, or returns ErrMalformed. The object is a part of the key.
func Parse(key []byte, prefix int) (object []byte, ms int64, err error) {
	if len(key) < prefix+millisWidth+2 || key[prefix+millisWidth] != '#' {
		return nil, 0, ErrMalformed
	}
	var inverted int64
	for _, c := range key[prefix : prefix+millisWidth] {
		if c < '0' || c > '9' {
			return nil, 0, ErrMalformed
		}
		inverted = inverted*10 + int64(c-'0')
	}
	return key[prefix+millisWidth+1:], MaxMillis - inverted, nil
}

// Split is the part of a key that is the listener's, with the '#' behind it, and the family that follows;
// ErrMalformed when it has none.
func Split(key []byte) (listener []byte, f Family, err error) {
	end := 0
	for range 3 { // u, hash, user
		i := bytes.IndexByte(key[end:], '#')
		if i < 0 {
			return nil, 0, ErrMalformed
		}
		end += i + 1
	}
	if !bytes.HasPrefix(key, []byte("u#")) || len(key) < end+2 || key[end+1] != '#' {
		return nil, 0, ErrMalformed
	}
	return key[:end:end], Family(key[end]), nil
}

// Prefix is the part of a key that AppendPrefix made; nil when it has none.
func Prefix(key []byte) []byte {
	listener, _, err := Split(key)
	if err != nil {
		return nil
	}
	return key[:len(listener)+2]
}
