// Package trigger is the hop between deciding and doing: "refresh these shelves for this listener". The
// pipeline, a batch job and an API miss all publish the same Trigger, and one runner turns it into rows.
package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/eventpb"
)

const (
	// Topic is where triggers travel; the message's key is the listener or "market:" and the market.
	Topic = "refresh-triggers"
	// DeadLetterTopic takes triggers that the runner gave up on, as eventpb.DeadLetter with the reason.
	DeadLetterTopic = "refresh-dead-letter"
)

// Cause is who asked.
type Cause uint8

// The doors into the one hallway.
const (
	Streaming Cause = iota + 1
	Batch
	OnDemand
)

// Trigger asks that shelves be made again for one listener or, for trending rows, one market.
type Trigger struct {
	ID     string // digest of everything else, see WithID
	User   string // exactly one of User and Market is set
	Market string // ISO 3166-1 alpha-2, or World
	Due    []Due
	// FireTime is the logical time at which it fired: first unserved event + freshness. Latency counts from here.
	FireTime time.Time
	Cause    Cause
	Top      []TrackCount // of a market: most played first
}

// World is the market of everywhere (the UN M49 code).
const World = "001"

// Due is one shelf and the run of events that no refresh of it has served yet.
type Due struct {
	Shelf string
	First Ref
	Last  Ref   // the newest; Last.Time is the as-of of the shelf's row
	Count int64 // events in the run, both ends included
}

// Ref names an event.
type Ref struct {
	ID   string
	Time time.Time
}

// TrackCount is a track with its plays.
type TrackCount struct {
	Track string
	Plays int64
}

// Key is the ordering key: triggers of one listener are handled in order.
func (t *Trigger) Key() string {
	if t.User != "" {
		return t.User
	}
	return "market:" + t.Market
}

// AsOf is the newest event covered, over all shelves.
func (t *Trigger) AsOf() time.Time {
	var newest time.Time
	for _, d := range t.Due {
		if d.Last.Time.After(newest) {
			newest = d.Last.Time
		}
	}
	return newest
}

// WithID returns t with its ID set to a digest of the whole content: a rewind that groups events in another
// way makes other ids, so no deduplication by id can swallow a trigger that covers something else.
func (t Trigger) WithID() Trigger {
	t.ID = ""
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(toProto(t))
	if err != nil { // unreachable: every string field is valid UTF-8 by event.Validate
		b = fmt.Appendf(nil, "%#v", t)
	}
	sum := sha256.Sum256(b)
	t.ID = hex.EncodeToString(sum[:12])
	return t
}

// Encode is the trigger as it travels.
func Encode(t Trigger) ([]byte, error) {
	b, err := proto.Marshal(toProto(t))
	if err != nil {
		return nil, fmt.Errorf("encoding trigger %s: %w", t.ID, err)
	}
	return b, nil
}

// Decode reads what Encode wrote. The error names what is missing; it never panics.
func Decode(data []byte) (Trigger, error) {
	var m eventpb.Trigger
	if err := proto.Unmarshal(data, &m); err != nil {
		return Trigger{}, fmt.Errorf("not a Trigger: %w", err)
	}
	t := Trigger{
		ID: m.GetId(), User: m.GetUser(), Market: m.GetMarket(),
		FireTime: m.GetFireTime().AsTime(), Cause: Cause(m.GetCause()),
	}
	for _, d := range m.GetDue() {
		t.Due = append(t.Due, Due{
			Shelf: d.GetShelf(),
			First: Ref{d.GetFirstEvent(), d.GetFirstTime().AsTime()},
			Last:  Ref{d.GetLastEvent(), d.GetLastTime().AsTime()},
			Count: d.GetEvents(),
		})
	}
	for _, c := range m.GetTop() {
		t.Top = append(t.Top, TrackCount{c.GetTrack(), c.GetPlays()})
	}
	switch {
	case t.ID == "":
		return t, fmt.Errorf("trigger: id is empty")
	case (t.User == "") == (t.Market == ""):
		return t, fmt.Errorf("trigger %s: want exactly one of user and market", t.ID)
	case len(t.Due) == 0:
		return t, fmt.Errorf("trigger %s: no shelf is due", t.ID)
	}
	return t, nil
}

func toProto(t Trigger) *eventpb.Trigger {
	m := &eventpb.Trigger{
		Id: t.ID, User: t.User, Market: t.Market,
		AsOf: timestamppb.New(t.AsOf()), FireTime: timestamppb.New(t.FireTime), Cause: eventpb.Cause(t.Cause),
	}
	for _, d := range t.Due {
		m.Due = append(m.Due, &eventpb.Due{
			Shelf:      d.Shelf,
			FirstEvent: d.First.ID, FirstTime: timestamppb.New(d.First.Time),
			LastEvent: d.Last.ID, LastTime: timestamppb.New(d.Last.Time),
			Events: d.Count,
		})
	}
	for _, c := range t.Top {
		m.Top = append(m.Top, &eventpb.TrackCount{Track: c.Track, Plays: c.Plays})
	}
	return m
}
