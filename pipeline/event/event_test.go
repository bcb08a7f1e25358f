package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

var now = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func valid(k event.Kind) event.Event {
	return event.Event{ID: "dev:1_a.B-2", Kind: k, User: "ann.lee-2_x", Object: "spotify:1", Time: now, Market: "GB"}
}

func TestRoundTrip(t *testing.T) {
	for _, k := range event.Kinds {
		e := valid(k)
		b, err := event.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := event.Decode(b, now); err != nil || got != e {
			t.Errorf("%v: Decode(Encode) = %+v, %v: want %+v", k, got, err, e)
		}
	}
}

func TestTimesAreCutToTheMillisecond(t *testing.T) {
	m := event.ToProto(valid(event.Played))
	m.Time = timestamppb.New(now.Add(1999 * time.Microsecond))
	if got := event.FromProto(m).Time; !got.Equal(now.Add(time.Millisecond)) || got.Location() != time.UTC {
		t.Errorf("time %v: want %v in UTC", got, now.Add(time.Millisecond))
	}
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct {
		name  string
		spoil func(*event.Event)
		field string // empty: fine
	}{
		{"fine", func(*event.Event) {}, ""},
		{"no market", func(e *event.Event) { e.Market = "" }, ""},
		{"the most ahead", func(e *event.Event) { e.Time = now.Add(event.MaxAhead) }, ""},
		{"1970", func(e *event.Event) { e.Time = time.Unix(0, 0) }, ""},
		{"no id", func(e *event.Event) { e.ID = "" }, "id"},
		{"long id", func(e *event.Event) { e.ID = long[:65] }, "id"},
		{"id with a slash", func(e *event.Event) { e.ID = "a/b" }, "id"},
		{"no kind", func(e *event.Event) { e.Kind = 0 }, "action"},
		{"unknown kind", func(e *event.Event) { e.Kind = 4 }, "action"},
		{"no user", func(e *event.Event) { e.User = "" }, "user"},
		{"user with a colon", func(e *event.Event) { e.User = "a:b" }, "user"},
		{"user of the row key's separator", func(e *event.Event) { e.User = "a#b" }, "user"},
		{"long user", func(e *event.Event) { e.User = long[:65] }, "user"},
		{"no track", func(e *event.Event) { e.Object = "" }, "songPlayed.track"},
		{"no artist", func(e *event.Event) { e.Kind, e.Object = event.Followed, "" }, "artistFollowed.artist"},
		{"long heart", func(e *event.Event) { e.Kind, e.Object = event.Hearted, long[:129] }, "songHearted.track"},
		{"no time", func(e *event.Event) { e.Time = time.Time{} }, "time"},
		{"too far ahead", func(e *event.Event) { e.Time = now.Add(event.MaxAhead + 1) }, "time"},
		{"market in small letters", func(e *event.Event) { e.Market = "gb" }, "market"},
		{"long market", func(e *event.Event) { e.Market = "GBR" }, "market"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := valid(event.Played)
			tt.spoil(&e)
			err := e.Validate(now)
			var field *event.FieldError
			switch {
			case tt.field == "" && err != nil:
				t.Errorf("Validate: %v: want nil", err)
			case tt.field != "" && (!errors.As(err, &field) || field.Field != tt.field || field.Want == ""):
				t.Errorf("Validate: %v: want a FieldError of %s", err, tt.field)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{"": true}
	for i, topic := range event.Topics() {
		if seen[topic] || topic != event.Kinds[i].Topic() || seen[event.Kinds[i].String()] {
			t.Errorf("kind %d: topic %q, name %q: want its own", i, topic, event.Kinds[i])
		}
		seen[topic], seen[event.Kinds[i].String()] = true, true
	}
	if got := event.Kind(9).String(); got != "Kind(9)" {
		t.Errorf("an unknown kind is %q: want Kind(9)", got)
	}
}

// Whatever the bytes: no panic, and what is accepted is valid and travels unchanged.
func FuzzDecode(f *testing.F) {
	for _, k := range event.Kinds {
		b, err := event.Encode(valid(k))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	odd, err := proto.Marshal(&eventpb.UserEvent{Id: "1", Time: &timestamppb.Timestamp{Seconds: 1 << 60, Nanos: -1},
		Action: &eventpb.UserEvent_SongPlayed{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(odd)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := event.Decode(b, now)
		if err != nil {
			return
		}
		again, err := event.Encode(e)
		if err != nil {
			t.Fatalf("encoding what Decode accepted: %v", err)
		}
		if got, err := event.Decode(again, now); err != nil || got != e {
			t.Fatalf("decoded again: %+v, %v: want %+v", got, err, e)
		}
	})
}
