// Package event is the first hop: what a listener did. An Event comes from a mobile client or an import,
// travels on Pub/Sub as an eventpb.UserEvent, and is decoded once, here.
package event

import (
	"fmt"
	"time"
)

// Kind is what a listener did.
type Kind uint8

// The kinds of events, in the order of their topics.
const (
	Played   Kind = iota + 1 // a track was played
	Followed                 // an artist was followed
	Hearted                  // a track was hearted
)

// Kinds lists every kind.
var Kinds = [...]Kind{Played, Followed, Hearted}

// DeadLetterTopic takes what Decode refuses, as eventpb.DeadLetter with the reason.
const DeadLetterTopic = "dead-letter"

// FeedbackTopic takes what listeners did to cards of Home, each as eventpb.UserEvent, for whoever measures shelves. No
// stage reads it. The message's attributes say of the card what its context does: AttrShelf and those below it.
const FeedbackTopic = "card-feedback"

// The attributes of a message on FeedbackTopic.
const (
	AttrShelf    = "shelf"    // the shelf that the card stood on
	AttrPlace    = "place"    // of the shelf on Home, from 0
	AttrPosition = "position" // of the card on the shelf, from 0
	AttrStatus   = "status"   // the rung of the ladder that the shelf stood on
	AttrTrigger  = "trigger"  // the id of what made the row; empty for cards of the editors
)

// Topic is where events of the kind travel.
func (k Kind) Topic() string {
	switch k {
	case Played:
		return "song-played"
	case Followed:
		return "artist-followed"
	case Hearted:
		return "song-hearted"
	}
	return ""
}

// Topics lists the topics of every kind.
func Topics() []string {
	topics := make([]string, len(Kinds))
	for i, k := range Kinds {
		topics[i] = k.Topic()
	}
	return topics
}

// String is the kind as it is written in logs and metrics.
func (k Kind) String() string {
	switch k {
	case Played:
		return "played"
	case Followed:
		return "followed"
	case Hearted:
		return "hearted"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Event is one thing that one listener did, once. The same ID again is the same event.
type Event struct {
	ID     string    // 1–64 of [A-Za-z0-9._:-], the sender's
	Kind   Kind      //
	User   string    // the listener; 1–64 of [A-Za-z0-9._-]
	Object string    // a track's id; an artist's when Followed; 1–128 of [A-Za-z0-9._:-]
	Time   time.Time // by the sender's clock, UTC, whole milliseconds
	Market string    // ISO 3166-1 alpha-2, or empty: unknown
}

// FieldError says which field of an event is wrong and what would be right.
type FieldError struct {
	Field string // as it is called in JSON
	Want  string // what would be right
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Want }

// MaxAhead is how far an event's time may lie ahead of the clock of whoever checks it: phones' clocks are off.
const MaxAhead = 5 * time.Minute

// Validate checks every field against its own comment, and Time against now; the error is a *FieldError.
func (e *Event) Validate(now time.Time) error {
	switch {
	case e.Kind.Topic() == "":
		return &FieldError{"action", "want one of songPlayed, artistFollowed, songHearted"}
	case !ValidObject(e.Object):
		return &FieldError{e.objectField(), "want 1–128 of A–Z a–z 0–9 . _ : -"}
	}
	return e.ValidateOrigin(now)
}

// ValidateOrigin checks what is not about the action: which event it is, whose, when and where.
func (e *Event) ValidateOrigin(now time.Time) error {
	switch {
	case !valid(e.ID, 64, true):
		return &FieldError{"id", "want 1–64 of A–Z a–z 0–9 . _ : -"}
	case !ValidUser(e.User):
		return &FieldError{"user", "want 1–64 of A–Z a–z 0–9 . _ -"}
	case e.Time.Before(time.Unix(0, 0)):
		return &FieldError{"time", "want an RFC 3339 time after 1970"}
	case e.Time.After(now.Add(MaxAhead)):
		return &FieldError{"time", "want a time at most 5 minutes ahead of the server's clock"}
	case e.Market != "" && !ValidMarket(e.Market):
		return &FieldError{"market", "want an ISO 3166-1 alpha-2 code in capitals, or nothing"}
	}
	return nil
}

func (e *Event) objectField() string {
	switch e.Kind {
	case Followed:
		return "artistFollowed.artist"
	case Hearted:
		return "songHearted.track"
	}
	return "songPlayed.track"
}

// ValidUser reports whether a listener's id may become part of a key: 1–64 of [A-Za-z0-9._-].
func ValidUser(user string) bool { return valid(user, 64, false) }

// ValidObject reports whether a track's or an artist's id may become part of a key: 1–128 of [A-Za-z0-9._:-].
func ValidObject(id string) bool { return valid(id, 128, true) }

func valid(s string, most int, colon bool) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		case c == ':' && colon:
		default:
			return false
		}
	}
	return true
}

// ValidMarket reports whether m has the form of an ISO 3166-1 alpha-2 code: two capitals.
func ValidMarket(m string) bool {
	return len(m) == 2 && 'A' <= m[0] && m[0] <= 'Z' && 'A' <= m[1] && m[1] <= 'Z'
}
