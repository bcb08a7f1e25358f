// Package cms is how editors change Home: placements as documents that are drafted, checked, published and rolled
// back.
//
// There is one log, and every change is one entry of it: who did what, when, and what that changed from what to
// what. An entry is appended at the next number or not at all, so a change is atomic however much it touches, two
// editors can't overwrite each other, and the audit log can't differ from what happened: it is what happened. What
// is published and which drafts there are is what the entries add up to (State). A Desk does this over a Log, and
// so does every instance of the API, to follow what is published.
package cms

import (
	"context"
	"errors"
	"time"

	"homefeed/api/placement"
)

// The limits that keep documents and the log small.
const (
	MaxDrafts     = 50
	MaxPlacements = 50
	MaxDocument   = 256 << 10 // bytes of a document in JSON
	MaxTitle      = 100       // bytes of a draft's title
)

// Draft is a document that somebody works on. Its placements are never changed in place.
type Draft struct {
	ID         string               `json:"id"`
	Title      string               `json:"title"`
	Base       int64                `json:"base"` // the version that it was begun from
	Placements placement.Placements `json:"placements"`
	Created    Stamp                `json:"created"`
	Updated    Stamp                `json:"updated"`
	Seq        int64                `json:"seq"` // of the entry that made it what it is: its etag
}

// Stamp is who did something, and when.
type Stamp struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Version is a document that was published. Number 0 is what Home shows before anything was.
type Version struct {
	Number     int64                `json:"number"`
	Title      string               `json:"title"`
	RolledBack bool                 `json:"rolledBack,omitempty"`
	Of         int64                `json:"of,omitempty"` // of a rollback: the version whose document it is
	Published  Stamp                `json:"published"`
	Placements placement.Placements `json:"placements"`
	Seq        int64                `json:"seq"` // of the entry that published it
}

// Action is what an entry did.
type Action string

// The actions.
const (
	Created    Action = "created"     // a draft
	Updated    Action = "updated"     // a draft
	Deleted    Action = "deleted"     // a draft
	Published  Action = "published"   // a draft, which is no more
	RolledBack Action = "rolled_back" // to an older version, as a new one
)

// Entry is one change, as the log keeps it.
type Entry struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Action  Action    `json:"action"`
	Draft   string    `json:"draft,omitempty"`
	Title   string    `json:"title,omitempty"`
	Base    int64     `json:"base,omitempty"`    // of a draft that was created
	Version int64     `json:"version,omitempty"` // that was published
	Of      int64     `json:"of,omitempty"`      // of a rollback
	// Placements is the whole document afterwards; nil when the entry leaves none.
	Placements *placement.Placements `json:"placements,omitempty"`
	// Changes are against the draft before an update, and against what was published before a publication.
	Changes []Change `json:"changes,omitempty"`
}

// Log keeps numbered entries, and beside them what they add up to, so that it isn't added up again from the first.
// logtest has the contract test that every log passes.
type Log interface {
	// Append writes the entry at seq (1 and up) unless there is one already: then it is ErrTaken and nothing has
	// changed. After nil the entry survives a crash; after any other error it may be there.
	Append(ctx context.Context, seq int64, data []byte) error
	// Read returns the entries from seq on in order, at most limit. It sees every entry whose Append returned
	// before Read began. The slices are the caller's.
	Read(ctx context.Context, from int64, limit int) ([][]byte, error)
	// SaveState replaces what was saved. It may be lost, and a slower caller may put an older one in place.
	SaveState(ctx context.Context, data []byte) error
	// LoadState returns what was saved, nil if nothing was.
	LoadState(ctx context.Context) ([]byte, error)
	// Close waits for calls under way and releases the log; calls after it fail with ErrClosed. Closing again does
	// nothing.
	Close() error
}

// MaxEntry is the most bytes of an entry or a saved state that a log takes: Bigtable's cells have 10 MB at most.
const MaxEntry = 8 << 20

var (
	// ErrTaken is Append's when the log has an entry of that number.
	ErrTaken = errors.New("the log has an entry of that number already")
	// ErrClosed is what a log returns after Close.
	ErrClosed = errors.New("the log is closed")
)
