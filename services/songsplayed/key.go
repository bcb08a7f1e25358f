package songsplayed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/songsplayedpb"
)

// The layout of a key, the same in every table:
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

// family is the part of a listener's rows that has one kind of action.
type family byte

const (
	plays   family = 'p'
	hearts  family = 'h'
	follows family = 'f'
	// erased is not an action: what is at its time or before it is not seen. It sorts before all the others, so
	// whoever reads a listener from the beginning meets it first.
	erased family = 'e'
)

// actions are the families that erasing empties.
var actions = [...]family{plays, hearts, follows}

const (
	// maxMillis is the largest time that a key can hold, in the year 2286.
	maxMillis   = 9_999_999_999_999
	millisWidth = 13
)

// check says which family an action belongs to, or which of its fields may not become part of a key.
func check(a *songsplayedpb.Action) (family, *rpc.FieldError) {
	var f family
	switch a.GetKind() {
	case songsplayedpb.Kind_KIND_PLAYED:
		f = plays
	case songsplayedpb.Kind_KIND_HEARTED:
		f = hearts
	case songsplayedpb.Kind_KIND_FOLLOWED:
		f = follows
	default:
		return 0, &rpc.FieldError{Field: "kind", Want: "want KIND_PLAYED, KIND_FOLLOWED or KIND_HEARTED"}
	}
	switch {
	case !event.ValidUser(a.GetUser()):
		return 0, &rpc.FieldError{Field: "user", Want: wantUser}
	case !event.ValidObject(a.GetObject()):
		return 0, &rpc.FieldError{Field: "object", Want: "want 1–128 of A–Z a–z 0–9 . _ : -"}
	case a.GetTimeMs() < 0 || a.GetTimeMs() > maxMillis:
		return 0, &rpc.FieldError{Field: "time_ms", Want: "want milliseconds since 1970, 0 to 9999999999999"}
	}
	return f, nil
}

const wantUser = "want 1–64 of A–Z a–z 0–9 . _ -"

// appendPrefix appends what the keys of a listener's family begin with. user must be valid.
func appendPrefix(dst []byte, user string, f family) []byte {
	var buf [64]byte
	sum := sha256.Sum256(append(buf[:0], user...))
	dst = append(dst, "u#"...)
	dst = hex.AppendEncode(dst, sum[:2])
	dst = append(dst, '#')
	dst = append(dst, user...)
	return append(dst, '#', byte(f), '#')
}

// FamilyPrefix is the part of a key that all of a listener's actions of one kind begin with, as appendPrefix makes it;
// nil when the key is not of an action.
func FamilyPrefix(key []byte) []byte {
	if !bytes.HasPrefix(key, []byte("u#")) {
		return nil
	}
	end := 0
	for range 4 {
		i := bytes.IndexByte(key[end:], '#')
		if i < 0 {
			return nil
		}
		end += i + 1
	}
	return key[:end]
}

// appendMillis appends a time so that later ones sort before earlier ones.
func appendMillis(dst []byte, ms int64) []byte {
	var digits [millisWidth]byte
	for i, rest := millisWidth-1, maxMillis-ms; i >= 0; i, rest = i-1, rest/10 {
		digits[i] = '0' + byte(rest%10)
	}
	return append(dst, digits[:]...)
}

// appendKey appends the key of an action that check has passed.
func appendKey(dst []byte, f family, a *songsplayedpb.Action) []byte {
	dst = appendMillis(appendPrefix(dst, a.GetUser(), f), a.GetTimeMs())
	return append(append(dst, '#'), a.GetObject()...)
}

// bounds are the keys from ≤ key < to of a listener's actions at times start ≤ ms < end, which must lie
// within 0 and maxMillis+1, start before end. Keys begin with the first prefix bytes of both.
func bounds(user string, f family, start, end int64) (from, to []byte, prefix int) {
	from = appendPrefix(nil, user, f)
	prefix = len(from)
	to = bytes.Clone(from)
	from = append(appendMillis(from, end-1), '#')
	to = append(appendMillis(to, start), '#'+1)
	return from, to, prefix
}

var errMalformed = errors.New("a key is malformed")

// parseKey reads what follows a key's prefix. The object is a part of the key.
func parseKey(key []byte, prefix int) (object []byte, ms int64, err error) {
	if len(key) < prefix+millisWidth+2 || key[prefix+millisWidth] != '#' {
		return nil, 0, errMalformed
	}
	var inverted int64
	for _, c := range key[prefix : prefix+millisWidth] {
		if c < '0' || c > '9' {
			return nil, 0, errMalformed
		}
		inverted = inverted*10 + int64(c-'0')
	}
	return key[prefix+millisWidth+1:], maxMillis - inverted, nil
}
