package intake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api/intake"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// played is a good event.
func played(id, user string) *eventpb.UserEvent {
	return &eventpb.UserEvent{Id: id, User: user, Time: timestamppb.New(now.Add(-time.Second)), Market: "SE",
		Action: &eventpb.UserEvent_SongPlayed{SongPlayed: &eventpb.SongPlayed{Track: "t-" + id}}}
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bothForms reads the request as protobuf and as JSON and fails unless they come to the same.
func bothForms(t *testing.T, r intake.Reader, request *eventpb.WriteEventsRequest) *intake.Batch {
	t.Helper()
	fromProto, err := r.Protobuf(encode(t, request))
	if err != nil {
		t.Fatal(err)
	}
	body, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := r.JSON(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded(t, fromJSON), decoded(t, fromProto), protocmp.Transform()); diff != "" {
		t.Errorf("the forms differ (-JSON +protobuf):\n%s", diff)
	}
	return fromProto
}

// decoded is the batch with its messages as events: their bytes may differ in the order of fields.
func decoded(t *testing.T, b *intake.Batch) any {
	t.Helper()
	var events []event.Event
	for _, topic := range b.Topics {
		for _, m := range topic.Messages {
			e, err := event.Decode(m.Data, now)
			if err != nil {
				t.Errorf("the pipeline refuses %s: %v", m.ID, err)
			}
			if e.Kind != topic.Kind || e.ID != m.ID || e.User != m.Key || !e.Time.Equal(m.Time) {
				t.Errorf("message %+v of event %+v", m, e)
			}
			events = append(events, e)
		}
	}
	return []any{events, b.Results, b.Rejected}
}

func TestListenersOwn(t *testing.T) {
	request := &eventpb.WriteEventsRequest{Events: []*eventpb.UserEvent{
		played("a", ""), played("b", "ann"), played("c", "bob"), played("d", ""),
	}}
	b := bothForms(t, intake.Reader{User: "ann", Now: now}, request)
	var keys []string
	for _, m := range b.Topics[0].Messages {
		keys = append(keys, m.ID+" "+m.Key)
	}
	if diff := cmp.Diff([]string{"a ann", "b ann", "d ann"}, keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.Results[2].Field != "user" || len(b.Rejected) != 1 || b.Rejected[0] != (intake.Rejected{Kind: "played", Reason: "user"}) {
		t.Errorf("%v %v", b.Results, b.Rejected)
	}
}

func TestFieldsThatAreWrong(t *testing.T) {
	change := func(f func(*eventpb.UserEvent)) *eventpb.UserEvent {
		e := played("x", "ann")
		f(e)
		return e
	}
	wrong := map[string]*eventpb.UserEvent{
		"id":               change(func(e *eventpb.UserEvent) { e.Id = "" }),
		"user":             change(func(e *eventpb.UserEvent) { e.User = "a b" }),
		"time":             change(func(e *eventpb.UserEvent) { e.Time = nil }),
		"market":           change(func(e *eventpb.UserEvent) { e.Market = "se" }),
		"action":           change(func(e *eventpb.UserEvent) { e.Action = nil }),
		"songPlayed.track": change(func(e *eventpb.UserEvent) { e.GetSongPlayed().Track = "a b" }),
		"songHearted.track": change(func(e *eventpb.UserEvent) {
			e.Action = &eventpb.UserEvent_SongHearted{SongHearted: &eventpb.SongHearted{}}
		}),
		"artistFollowed.artist": change(func(e *eventpb.UserEvent) {
			e.Action = &eventpb.UserEvent_ArtistFollowed{ArtistFollowed: &eventpb.ArtistFollowed{}}
		}),
	}
	for field, e := range wrong {
		b := bothForms(t, intake.Reader{Now: now}, &eventpb.WriteEventsRequest{Events: []*eventpb.UserEvent{e, played("good", "ann")}})
		if b.Results[0].Field != field || !strings.HasPrefix(b.Results[0].Error, "want ") {
			t.Errorf("%s: %v", field, b.Results[0])
		}
		if len(b.Topics[0].Messages) != 1 || b.Results[1].Error != "" {
			t.Errorf("%s: the good event behind it: %v", field, b.Results[1])
		}
	}
	late := played("late", "ann")
	late.Time = timestamppb.New(now.Add(time.Hour))
	if b := bothForms(t, intake.Reader{Now: now}, &eventpb.WriteEventsRequest{Events: []*eventpb.UserEvent{late}}); b.Results[0].Field != "time" {
		t.Errorf("an hour ahead: %v", b.Results[0])
	}
}

// TestBytesAreKept holds that an event whose listener is set travels as it was sent, fields from the future included.
func TestBytesAreKept(t *testing.T) {
	sent := protowire.AppendTag(encode(t, played("a", "ann")), 99, protowire.BytesType)
	sent = protowire.AppendString(sent, "later")
	body := protowire.AppendBytes([]byte{1<<3 | 2}, sent)
	body = append(body, 9<<3, 1) // a field of the request from the future
	b, err := intake.Reader{User: "ann", Now: now}.Protobuf(body)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Topics[0].Messages[0].Data; string(got) != string(sent) {
		t.Errorf("published %x, sent %x", got, sent)
	}
}

func TestUnreadableEvents(t *testing.T) {
	good := encode(t, played("good", "ann"))
	var body []byte
	for _, e := range [][]byte{{0xff}, good, append(good[:len(good):len(good)], make([]byte, 5000)...), good} {
		body = protowire.AppendTag(body, 1, protowire.BytesType)
		body = protowire.AppendBytes(body, e)
	}
	b, err := intake.Reader{Now: now}.Protobuf(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Topics[0].Messages) != 2 || b.Results[0].Error == "" || b.Results[1].Error != "" || b.Results[2].Error == "" {
		t.Errorf("protobuf: %v", b.Results)
	}
	b, err = intake.Reader{Now: now}.JSON([]byte(`{"events":[
		{"id":"x","colour":1}, 7, "x", null, {"id":"good","user":"ann","time":"2026-03-04T05:00:00Z","songPlayed":{"track":"t"}},
		{"id":"` + strings.Repeat("x", 5000) + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range b.Results {
		if (r.Error == "") != (i == 4) {
			t.Errorf("JSON event %d: %v", i, r)
		}
	}
	if b.Results[0].Id != "x" {
		t.Errorf("the result of an unreadable event has lost its id: %v", b.Results[0])
	}
}

func TestBodiesRefused(t *testing.T) {
	many := &eventpb.WriteEventsRequest{}
	for i := range intake.MaxEvents + 1 {
		many.Events = append(many.Events, played(fmt.Sprint(i), "ann"))
	}
	r := intake.Reader{Now: now}
	for name, body := range map[string][]byte{
		"nothing": nil, "cut off": {1<<3 | 2, 5, 1}, "no tag": {0xff}, "a broken field": {9<<3 | 2, 5}, "too many": encode(t, many),
	} {
		if b, err := r.Protobuf(body); err == nil {
			t.Errorf("protobuf, %s: %d results and no error", name, len(b.Results))
		}
	}
	manyJSON, err := protojson.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"nothing": "", "no object": "[]", "no events": "{}", "no list": `{"events":1}`, "cut off": `{"events":[`,
		"two": `{"events":[]}{}`, "too many": string(manyJSON),
	} {
		if b, err := r.JSON([]byte(body)); err == nil {
			t.Errorf("JSON, %s: %d results and no error", name, len(b.Results))
		}
	}
	many.Events = many.Events[1:]
	if b := bothForms(t, r, many); len(b.Topics[0].Messages) != intake.MaxEvents {
		t.Errorf("%d of %d events are accepted", len(b.Topics[0].Messages), intake.MaxEvents)
	}
}

// FuzzProtobuf holds that bytes from anywhere never panic, that every event has one result, and that the pipeline
// takes whatever is accepted, as the listener of the token.
func FuzzProtobuf(f *testing.F) {
	f.Add(encode(f, &eventpb.WriteEventsRequest{Events: []*eventpb.UserEvent{played("a", ""), played("b", "ann"), played("c", "x")}}))
	f.Add([]byte{1<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := intake.Reader{User: "ann", Now: now}.Protobuf(body)
		if err != nil {
			return
		}
		checkBatch(t, b)
	})
}

// FuzzJSON holds the same for JSON.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"events":[{"id":"a","time":"2026-03-04T05:00:00Z","songPlayed":{"track":"t"}},{},null]}`))
	f.Add([]byte(`{"EVENTS":[{"artist_followed":{}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := intake.Reader{User: "ann", Now: now}.JSON(body)
		if err != nil {
			return
		}
		checkBatch(t, b)
	})
}

func checkBatch(t *testing.T, b *intake.Batch) {
	accepted := 0
	for _, topic := range b.Topics {
		for _, m := range topic.Messages {
			accepted++
			e, err := event.Decode(m.Data, now)
			if err != nil || e.User != "ann" || e.Kind != topic.Kind || m.Key != "ann" || e.ID != m.ID {
				t.Fatalf("accepted %+v, %v", e, err)
			}
		}
	}
	if accepted+len(b.Rejected) != len(b.Results) {
		t.Fatalf("%d accepted and %d rejected of %d", accepted, len(b.Rejected), len(b.Results))
	}
	if _, err := proto.Marshal(&eventpb.WriteEventsResponse{Results: b.Results}); err != nil {
		t.Fatalf("the results can't be sent: %v", err)
	}
}

// BenchmarkProtobuf reads batches of 1,000: ns/event is what intake costs before the bus.
func BenchmarkProtobuf(b *testing.B) {
	for name, user := range map[string]string{"own": "", "importer": "ann"} {
		b.Run(name, func(b *testing.B) {
			request := &eventpb.WriteEventsRequest{}
			for i := range 1000 {
				request.Events = append(request.Events, played(fmt.Sprint("classicrock-", i), user))
			}
			body := encode(b, request)
			r := intake.Reader{Now: now}
			if user == "" {
				r.User = "ann"
			}
			b.ReportAllocs()
			for b.Loop() {
				batch, err := r.Protobuf(body)
				if err != nil || len(batch.Rejected) > 0 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
		})
	}
}
