package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

const mixed = `{"events":[
	{"id":"e1","time":"2026-03-04T05:00:00.123Z","songPlayed":{"track":"t1"}},
	{"id":"e2","user":"ann","time":"2026-03-04T05:00:01Z","market":"SE","artistFollowed":{"artist":"a1"}},
	{"id":"e3","user":"bob","time":"2026-03-04T05:00:01Z","songPlayed":{"track":"t1"}},
	{"id":"e4","time":"yesterday","songPlayed":{"track":"t1"}},
	{"id":"e5","time":"2026-03-04T05:00:02Z","songPlayed":{}},
	{"id":"e6","time":"2026-03-04T05:00:03Z","songPlayed":{"track":"t2"}}
]}`

// decodeResults reads the answer in the form it came in.
func decodeResults(t *testing.T, contentType string, body []byte) *eventpb.WriteEventsResponse {
	t.Helper()
	got := new(eventpb.WriteEventsResponse)
	err := proto.Unmarshal(body, got)
	if contentType == "application/json" {
		err = protojson.Unmarshal(body, got)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return got
}

// TestEvents sends good and bad events of a listener in one batch.
func TestEvents(t *testing.T) {
	p := &publisher{}
	reg := prometheus.NewPedanticRegistry()
	a := newAPI(t, api.Config{Bus: p, Registerer: reg})
	w := call(a, "POST", "/v1/events", "listener:ann", mixed, "Content-Type", "application/json; charset=utf-8")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	results := decodeResults(t, w.Header().Get("Content-Type"), w.Body.Bytes()).Results
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprint(r.Id, " ", r.Field, " ", r.Error != ""))
	}
	want := []string{"e1  false", "e2  false", "e3 user true", "e4  true", "e5 songPlayed.track true", "e6  false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}

	type message struct{ Topic, ID, Key, User, Object string }
	var sent []message
	for _, topic := range event.Topics() {
		for _, m := range p.published[topic] {
			e, err := event.Decode(m.Data, now)
			if err != nil {
				t.Errorf("%s: published what the pipeline refuses: %v", m.ID, err)
			}
			if !m.Time.Equal(e.Time) {
				t.Errorf("%s: message time %v, event time %v", m.ID, m.Time, e.Time)
			}
			sent = append(sent, message{topic, m.ID, m.Key, e.User, e.Object})
		}
	}
	if diff := cmp.Diff([]message{
		{"song-played", "e1", "ann", "ann", "t1"}, {"song-played", "e6", "ann", "ann", "t2"},
		{"artist-followed", "e2", "ann", "ann", "a1"},
	}, sent); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP homefeed_api_events_accepted_total Events published, by kind.
# TYPE homefeed_api_events_accepted_total counter
homefeed_api_events_accepted_total{kind="followed"} 1
homefeed_api_events_accepted_total{kind="hearted"} 0
homefeed_api_events_accepted_total{kind="played"} 2
# HELP homefeed_api_events_rejected_total Events refused, by kind and the field that was wrong.
# TYPE homefeed_api_events_rejected_total counter
homefeed_api_events_rejected_total{kind="played",reason="songPlayed.track"} 1
homefeed_api_events_rejected_total{kind="played",reason="user"} 1
homefeed_api_events_rejected_total{kind="unknown",reason="encoding"} 1
`), "homefeed_api_events_accepted_total", "homefeed_api_events_rejected_total"); err != nil {
		t.Error(err)
	}
}

// TestEventsOfImporter lets a service name anybody, but not nobody.
func TestEventsOfImporter(t *testing.T) {
	p := &publisher{}
	a := newAPI(t, api.Config{Bus: p})
	w := call(a, "POST", "/v1/events", "service:importer", mixed, "Content-Type", "application/json")
	got := decodeResults(t, w.Header().Get("Content-Type"), w.Body.Bytes()).Results
	if got[0].Field != "user" || got[1].Error != "" || got[2].Error != "" {
		t.Errorf("%v", got)
	}
	if m := p.published["song-played"]; len(m) != 1 || m[0].Key != "bob" {
		t.Errorf("published %v", m)
	}
}

// TestEventsNotStored holds that nothing is said to be accepted when the bus fails, whichever topic it is.
func TestEventsNotStored(t *testing.T) {
	for _, topic := range []string{"song-played", "artist-followed"} {
		a := newAPI(t, api.Config{Bus: &publisher{err: errors.New("the bus is away"), fail: topic}})
		w := call(a, "POST", "/v1/events", "listener:ann", mixed, "Content-Type", "application/json")
		if e := decodeError(t, w.Body.Bytes()); w.Code != 503 || e.Error.Status != "UNAVAILABLE" || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", topic, w.Code, w.Header(), w.Body)
		}
		if strings.Contains(w.Body.String(), "results") {
			t.Errorf("%s: something is claimed: %s", topic, w.Body)
		}
	}
	stuck := &publisher{wait: make(chan struct{})}
	a := newAPI(t, api.Config{Bus: stuck, Limits: api.Limits{PublishTimeout: time.Millisecond}})
	if w := call(a, "POST", "/v1/events", "listener:ann", mixed, "Content-Type", "application/json"); w.Code != 503 {
		t.Errorf("a bus that hangs: %d %s", w.Code, w.Body)
	}
}

// TestIntakesAreBounded refuses a batch while as many as allowed are under way.
func TestIntakesAreBounded(t *testing.T) {
	stuck := &publisher{wait: make(chan struct{})}
	a := newAPI(t, api.Config{Bus: stuck, Limits: api.Limits{Intakes: 1, PublishTimeout: time.Minute, Request: time.Minute}})
	codes := make(chan int, 2)
	send := func() {
		codes <- call(a, "POST", "/v1/events", "listener:ann", mixed, "Content-Type", "application/json").Code
	}
	go send()
	go send()
	if first := <-codes; first != 503 {
		t.Errorf("the second batch: %d, want 503", first)
	}
	close(stuck.wait)
	if second := <-codes; second != 200 {
		t.Errorf("the first batch: %d, want 200", second)
	}
}

// TestEventsInProtobuf answers in protobuf what was sent in it.
func TestEventsInProtobuf(t *testing.T) {
	request := new(eventpb.WriteEventsRequest)
	good := strings.ReplaceAll(mixed, `"yesterday"`, `"1960-01-01T00:00:00Z"`)
	if err := protojson.Unmarshal([]byte(good), request); err != nil {
		t.Fatal(err)
	}
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, api.Config{})
	w := call(a, "POST", "/v1/events", "listener:ann", string(body),
		"Content-Type", "application/x-protobuf", "Accept", "application/x-protobuf")
	fromProto := decodeResults(t, w.Header().Get("Content-Type"), w.Body.Bytes())
	w = call(a, "POST", "/v1/events", "listener:ann", good, "Content-Type", "application/json")
	fromJSON := decodeResults(t, w.Header().Get("Content-Type"), w.Body.Bytes())
	if diff := cmp.Diff(fromJSON, fromProto, protocmp.Transform()); diff != "" {
		t.Errorf("JSON and protobuf are answered differently (-JSON +protobuf):\n%s", diff)
	}
}
