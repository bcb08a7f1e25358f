package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/pipeline/trigger"
)

var now = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func encoded(t testing.TB, e event.Event) []byte {
	t.Helper()
	b, err := event.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	good := event.Event{ID: "1", Kind: event.Hearted, User: "ann", Object: "t1", Time: now, Market: "GB"}
	got, err := pipeline.Decode("song-hearted", encoded(t, good), now)
	if err != nil || got != good {
		t.Errorf("Decode = %+v, %v: want %+v", got, err, good)
	}

	var topic *pipeline.TopicError
	if _, err := pipeline.Decode("song-played", encoded(t, good), now); !errors.As(err, &topic) {
		t.Errorf("Decode of a heart on song-played: error %v: want a TopicError", err)
	}
	var field *event.FieldError
	ahead := good
	ahead.Time = now.Add(event.MaxAhead + time.Millisecond)
	if _, err := pipeline.Decode("song-hearted", encoded(t, ahead), now); !errors.As(err, &field) || field.Field != "time" {
		t.Errorf("Decode of an event ahead of the clock: error %v: want a FieldError of time", err)
	}
	if _, err := pipeline.Decode("song-hearted", []byte("garbage"), now); err == nil {
		t.Error("Decode of garbage: want an error")
	}
}

func TestTriggerMessage(t *testing.T) {
	tr := trigger.Trigger{User: "ann", Cause: trigger.Streaming, FireTime: now,
		Due: []trigger.Due{{Shelf: "s", First: trigger.Ref{ID: "1", Time: now}, Last: trigger.Ref{ID: "2", Time: now}, Count: 2}}}.WithID()
	m, err := pipeline.TriggerMessage(tr)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trigger.Decode(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tr, got); diff != "" {
		t.Errorf("trigger in the message (-want +got):\n%s", diff)
	}
	m.Data = nil
	if diff := cmp.Diff(bus.Message{ID: tr.ID, Key: "ann", Time: now}, m); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	tr.Due[0].Shelf = strings.Repeat("s", bus.MaxData)
	if _, err := pipeline.TriggerMessage(tr); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("message of a huge trigger: error %v: want ErrTooLarge", err)
	}
}

func TestDeadLetter(t *testing.T) {
	in := bus.Message{ID: "1", Key: "ann", Time: now, Data: []byte{0xff, 1}, Attributes: map[string]string{"a": "b", "bad": "\xff!"}}
	m, err := pipeline.DeadLetter("song-played", in, 3, errors.New("time: want \xff another"))
	if err != nil {
		t.Fatal(err)
	}
	var letter eventpb.DeadLetter
	if err := proto.Unmarshal(m.Data, &letter); err != nil {
		t.Fatal(err)
	}
	want := &eventpb.DeadLetter{
		Topic: "song-played", Reason: "time: want  another", Payload: in.Data, Attempts: 3,
		Attributes: map[string]string{"a": "b", "bad": "!"}, Time: timestamppb.New(now),
	}
	if diff := cmp.Diff(want, &letter, protocmp.Transform()); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
	if m.Attributes[pipeline.AttrTopic] != "song-played" || m.Attributes[pipeline.AttrReason] != letter.GetReason() || m.Key != "ann" {
		t.Errorf("message %+v: want the topic, the reason and the key of what it wraps", m)
	}
	again, err := pipeline.DeadLetter("song-played", in, 1, errors.New("other"))
	if err != nil || again.ID != m.ID {
		t.Errorf("the same message again has id %s, %v: want %s", again.ID, err, m.ID)
	}
	other, err := pipeline.DeadLetter("song-hearted", in, 1, errors.New("other"))
	if err != nil || other.ID == m.ID {
		t.Errorf("a message of another topic has id %s, %v: want another one", other.ID, err)
	}
}

// However large and odd the message: the letter fits on the bus and says what it left out.
func TestDeadLetterFits(t *testing.T) {
	attributes := map[string]string{}
	for i := range 100 {
		attributes[strings.Repeat("k", 10)+string(rune('a'+i))] = strings.Repeat("v", 5000)
	}
	in := bus.Message{Data: make([]byte, bus.MaxData), Attributes: attributes}
	m, err := pipeline.DeadLetter(strings.Repeat("t", 5000), in, 1, errors.New(strings.Repeat("€", 5000)))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Data) > bus.MaxData || m.Attributes[pipeline.AttrCutFrom] != "1048576" {
		t.Errorf("letter of %d bytes, %s=%q: want at most %d and what it was cut from",
			len(m.Data), pipeline.AttrCutFrom, m.Attributes[pipeline.AttrCutFrom], bus.MaxData)
	}
	var letter eventpb.DeadLetter
	if err := proto.Unmarshal(m.Data, &letter); err != nil {
		t.Fatal(err)
	}
	if len(letter.GetPayload()) < bus.MaxData-64<<10 || len(letter.GetAttributes()) < 20 {
		t.Errorf("%d bytes of payload and %d attributes are left: want nearly all, and those that fit",
			len(letter.GetPayload()), len(letter.GetAttributes()))
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range event.Kinds {
		f.Add(k.Topic(), encoded(f, event.Event{ID: "1", Kind: k, User: "ann", Object: "x", Time: now}), "reason")
	}
	f.Add("", []byte{0xff}, "\xff")
	f.Fuzz(func(t *testing.T, topic string, data []byte, reason string) {
		e, err := pipeline.Decode(topic, data, now)
		if err == nil {
			if e.Kind.Topic() != topic {
				t.Fatalf("event of kind %v accepted on topic %q", e.Kind, topic)
			}
			if again, err := pipeline.Decode(topic, encoded(t, e), now); err != nil || again != e {
				t.Fatalf("encoded and decoded again: %+v, %v: want %+v", again, err, e)
			}
		}
		m, err := pipeline.DeadLetter(topic, bus.Message{Data: data, Attributes: map[string]string{topic: reason}}, 1, errors.New(reason))
		if err != nil {
			t.Fatalf("every message makes a letter: %v", err)
		}
		var letter eventpb.DeadLetter
		if err := proto.Unmarshal(m.Data, &letter); err != nil || string(letter.GetPayload()) != string(data) {
			t.Fatalf("payload %q, %v: want %q", letter.GetPayload(), err, data)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := encoded(b, event.Event{ID: "event-00000001", Kind: event.Played, User: "listener-1", Object: "track-1", Time: now, Market: "GB"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pipeline.Decode("song-played", data, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTriggerMessage(b *testing.B) {
	tr := trigger.Trigger{User: "listener-1", Cause: trigger.Streaming, FireTime: now,
		Due: []trigger.Due{{Shelf: "recently_played", First: trigger.Ref{ID: "event-1", Time: now}, Last: trigger.Ref{ID: "event-2", Time: now}, Count: 2}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pipeline.TriggerMessage(tr.WithID()); err != nil {
			b.Fatal(err)
		}
	}
}
