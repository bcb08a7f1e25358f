// Package intake turns the body of POST /v1/events into messages for the bus. Every event stands by itself: a bad
// one is refused with the field and what would be right, and the others go through.
package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"homefeed/api/cardtoken"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

const (
	// MaxEvents is how many events one request may have.
	MaxEvents = 1000
	// MaxEvent is the largest encoded event; one with the longest ids has about 350 bytes.
	MaxEvent = 4 << 10
)

// Batch is what a request came to.
type Batch struct {
	// Topics has the good events by topic, each in the request's order.
	Topics [len(event.Kinds)]Topic
	// Results has one result an event, in the request's order.
	Results []*eventpb.EventResult
	// Feedback is what happened to cards, in the request's order.
	Feedback []Feedback
	// Rejected has the bad ones, for counting.
	Rejected []Rejected

	hidden int // among Feedback
}

// Topic is the good events of one kind.
type Topic struct {
	Kind     event.Kind
	Messages []bus.Message
}

// Rejected is one bad event without anything that its sender wrote, fit for a metric's labels.
type Rejected struct {
	Kind   string // an event.Kind's, a Feedback's, or "unknown"
	Reason string // the field that was wrong, or "encoding"
}

// Reader reads batches on behalf of one caller.
type Reader struct {
	// User is the listener whose token came with the request: events may name nobody else. Empty: the caller
	// is a service and may name anybody.
	User string
	// Now is what events' times are checked against.
	Now time.Time
	// Open reads the context token of a card. nil: events about cards are refused.
	Open func(user, uri, context string) (cardtoken.Card, error)
}

// Protobuf reads an encoded WriteEventsRequest. The messages share body's memory. The error is about the body as
// a whole; what is wrong with one event is in the results.
func (r Reader) Protobuf(body []byte) (*Batch, error) {
	events := make([][]byte, 0, min(MaxEvents, len(body)/64+1))
	for len(body) > 0 {
		num, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil, fmt.Errorf("not a WriteEventsRequest: %w", protowire.ParseError(n))
		}
		body = body[n:]
		if num != 1 || kind != protowire.BytesType { // a field from the future
			if n = protowire.ConsumeFieldValue(num, kind, body); n < 0 {
				return nil, fmt.Errorf("not a WriteEventsRequest: %w", protowire.ParseError(n))
			}
			body = body[n:]
			continue
		}
		one, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return nil, fmt.Errorf("not a WriteEventsRequest: %w", protowire.ParseError(n))
		}
		if len(events) == MaxEvents {
			return nil, errCount
		}
		events = append(events, one)
		body = body[n:]
	}
	b, err := newBatch(len(events))
	if err != nil {
		return nil, err
	}
	var m eventpb.UserEvent
	for _, data := range events {
		if len(data) > MaxEvent {
			b.reject("", event.Event{}, errSize)
			continue
		}
		if err := proto.Unmarshal(data, &m); err != nil {
			b.reject("", event.Event{}, &event.FieldError{Want: "want a UserEvent in protobuf"})
			continue
		}
		if isFeedback(&m) {
			r.feedback(b, &m)
			continue
		}
		e := event.FromProto(&m)
		if err := r.check(&e); err != nil {
			b.reject(m.GetId(), e, err)
			continue
		}
		if m.GetUser() == "" { // the listener's own event: the last user field counts, so it can stand at the end
			data = appendUser(data, e.User)
		}
		b.accept(e, data)
	}
	return b, nil
}

// JSON reads a WriteEventsRequest in protobuf's JSON form. The error is about the body as a whole.
func (r Reader) JSON(body []byte) (*Batch, error) {
	var request struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, fmt.Errorf("not a WriteEventsRequest: %w", err)
	}
	b, err := newBatch(len(request.Events))
	if err != nil {
		return nil, err
	}
	for _, raw := range request.Events {
		if len(raw) > MaxEvent {
			b.reject("", event.Event{}, errSize)
			continue
		}
		var m eventpb.UserEvent
		if err := protojson.Unmarshal(raw, &m); err != nil {
			// What the decoder says is for people: its spaces differ from build to build, on purpose.
			why := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
			b.reject(idOf(raw), event.Event{}, &event.FieldError{Want: "want a UserEvent in JSON: " + why})
			continue
		}
		if isFeedback(&m) {
			r.feedback(b, &m)
			continue
		}
		e := event.FromProto(&m)
		if err := r.check(&e); err != nil {
			b.reject(m.GetId(), e, err)
			continue
		}
		m.User = e.User
		data, err := proto.Marshal(&m)
		if err != nil {
			b.reject(m.GetId(), e, &event.FieldError{Want: "want texts in UTF-8"})
			continue
		}
		b.accept(e, data)
	}
	return b, nil
}

// check puts the token's listener in and validates.
func (r Reader) check(e *event.Event) error {
	if r.User != "" {
		if e.User != "" && e.User != r.User {
			return errOtherUser
		}
		e.User = r.User
	}
	return e.Validate(r.Now)
}

// Errors of a whole body.
var (
	errCount     = fmt.Errorf("events: want 1 to %d", MaxEvents)
	errOtherUser = &event.FieldError{Field: "user", Want: "want nothing or the listener of the token"}
	errSize      = &event.FieldError{Want: fmt.Sprintf("want an event of at most %d bytes", MaxEvent)}
)

func newBatch(n int) (*Batch, error) {
	if n == 0 || n > MaxEvents {
		return nil, errCount
	}
	b := &Batch{Results: make([]*eventpb.EventResult, 0, n)}
	for i, k := range event.Kinds {
		b.Topics[i].Kind = k
	}
	return b, nil
}

func (b *Batch) accept(e event.Event, data []byte) {
	t := &b.Topics[e.Kind-event.Kinds[0]]
	if t.Messages == nil {
		t.Messages = make([]bus.Message, 0, cap(b.Results)-len(b.Results))
	}
	t.Messages = append(t.Messages, bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: data})
	b.Results = append(b.Results, &eventpb.EventResult{Id: e.ID})
}

func (b *Batch) reject(id string, e event.Event, err error) {
	kind := "unknown"
	if e.Kind.Topic() != "" {
		kind = e.Kind.String()
	}
	b.rejectAs(kind, id, err)
}

func (b *Batch) rejectAs(kind, id string, err error) {
	result := &eventpb.EventResult{Id: strings.ToValidUTF8(id, "\uFFFD"), Error: err.Error()}
	why := Rejected{Kind: kind, Reason: "encoding"}
	var field *event.FieldError
	if errors.As(err, &field) {
		result.Field, result.Error = field.Field, strings.ToValidUTF8(field.Want, "\uFFFD")
		if field.Field != "" {
			why.Reason = field.Field
		}
	}
	b.Results = append(b.Results, result)
	b.Rejected = append(b.Rejected, why)
}

// appendUser adds the field to a copy: the events around it share the body's memory.
func appendUser(data []byte, user string) []byte {
	out := make([]byte, 0, len(data)+2+len(user))
	out = append(out, data...)
	out = protowire.AppendTag(out, 2, protowire.BytesType)
	return protowire.AppendString(out, user)
}

// idOf finds the id of an event that can't be read, so that its sender knows which.
func idOf(raw []byte) string {
	var e struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &e) != nil || len(e.ID) > 64 {
		return ""
	}
	return e.ID
}
