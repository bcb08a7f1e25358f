package gcppubsub_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/gcppubsub"
)

// TestWireForm pins what other readers of the topics rely on: Dataflow's source takes ids and event times from the
// attributes, and a topic is ordered or its key is an attribute.
func TestWireForm(t *testing.T) {
	server := pstest.NewServer()
	t.Cleanup(func() { server.Close() })
	b := newBus(t, server.Addr, "p", "ordered")
	if err := b.EnsureTopology(t.Context(), []string{"plain", "ordered"}); err != nil {
		t.Fatal(err)
	}
	m := bus.Message{
		ID: "event-1", Key: "listener-1", Data: []byte("data"), Attributes: map[string]string{"reason": "r"},
		Time: time.Date(2014, 6, 16, 14, 0, 0, 7_999_999, time.FixedZone("", 2*3600)),
	}
	for _, topic := range []string{"plain", "ordered"} {
		if err := b.Publish(t.Context(), topic, m); err != nil {
			t.Fatal(err)
		}
	}
	type wire struct {
		Topic, OrderingKey string
		Attributes         map[string]string
	}
	const ts = "2014-06-16T12:00:00.007Z"
	want := []wire{
		{"projects/p/topics/plain", "", map[string]string{"reason": "r", "id": "event-1", "ts": ts, "key": "listener-1"}},
		{"projects/p/topics/ordered", "listener-1", map[string]string{"reason": "r", "id": "event-1", "ts": ts}},
	}
	var got []wire
	for _, sent := range server.Messages() {
		got = append(got, wire{sent.Topic, sent.OrderingKey, sent.Attributes})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages at the server (-want +got):\n%s", diff)
	}
}

// TestUnorderedTopic: the key of a topic without ordering comes back too.
func TestUnorderedTopic(t *testing.T) {
	server := pstest.NewServer()
	t.Cleanup(func() { server.Close() })
	b := newBus(t, server.Addr, "p")
	config := gcppubsub.SubscriptionConfig{Name: "sub", Topic: "plain"}
	for range 2 { // the second time everything is there
		if err := b.EnsureTopology(t.Context(), []string{"plain"}, config); err != nil {
			t.Fatal(err)
		}
	}
	want := bus.Message{ID: "event-1", Key: "listener-1", Data: []byte("data"), Time: time.UnixMilli(7).UTC()}
	if err := b.Publish(t.Context(), "plain", want); err != nil {
		t.Fatal(err)
	}
	s, err := b.Subscribe("sub", gcppubsub.SubscriptionOptions{Topic: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	ds, err := s.Pull(t.Context(), 10)
	if err != nil || len(ds) != 1 {
		t.Fatalf("Pull = %d messages, %v, want 1", len(ds), err)
	}
	if diff := cmp.Diff(want, ds[0].Message); diff != "" {
		t.Errorf("delivered (-published +delivered):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	server := pstest.NewServer()
	t.Cleanup(func() { server.Close() })
	b := newBus(t, server.Addr, "p")
	if err := b.EnsureTopology(t.Context(), []string{"plain"}); err != nil {
		t.Fatal(err)
	}
	publish := func(topic string, m bus.Message) error { return b.Publish(t.Context(), topic, m) }
	subscribe := func(lease time.Duration) error {
		_, err := b.Subscribe("s", gcppubsub.SubscriptionOptions{Lease: lease})
		return err
	}
	missing, err := b.Subscribe("missing", gcppubsub.SubscriptionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, missingErr := missing.Pull(t.Context(), 1)
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"ReservedAttribute":   {publish("plain", bus.Message{Attributes: map[string]string{"ts": "x"}}), `"ts"`},
		"IDNotUTF8":           {publish("plain", bus.Message{ID: "\xff"}), "ID"},
		"NoSuchTopic":         {publish("missing", bus.Message{ID: "x", Data: []byte("x")}), "NotFound"},
		"LeaseTooShort":       {subscribe(5 * time.Second), "Lease"},
		"LeaseTooLong":        {subscribe(time.Hour), "Lease"},
		"LeaseBrokenSeconds":  {subscribe(10500 * time.Millisecond), "Lease"},
		"NoSuchSubscription":  {missingErr, "NotFound"},
		"TooLargeAmongOthers": {publish("plain", bus.Message{Data: make([]byte, bus.MaxData+1)}), bus.ErrTooLarge.Error()},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want an error that says %q", name, test.err, test.want)
		}
	}
	if n := len(server.Messages()); n != 0 {
		t.Errorf("%d messages were published, want none", n)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	server := pstest.NewServer()
	t.Cleanup(func() { server.Close() })
	b := newBus(t, server.Addr, "p")
	config := gcppubsub.SubscriptionConfig{Name: "sub", Topic: "plain"}
	if err := b.EnsureTopology(t.Context(), []string{"plain"}, config); err != nil {
		t.Fatal(err)
	}
	s, err := b.Subscribe("sub", gcppubsub.SubscriptionOptions{Topic: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := s.Pull(t.Context(), 1); ended <- err }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, gcppubsub.ErrClosed) {
		t.Errorf("Pull: %v, want ErrClosed", err)
	}
	if err := b.Publish(t.Context(), "plain", bus.Message{ID: "x"}); !errors.Is(err, gcppubsub.ErrClosed) {
		t.Errorf("Publish: %v, want ErrClosed", err)
	}
}

// TestMetricsTaken: two buses can't share a registry's names, and closing the first frees them.
func TestMetricsTaken(t *testing.T) {
	o := gcppubsub.Options{Project: "p", Registerer: prometheus.NewRegistry()}
	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1") // nothing is sent
	first, err := gcppubsub.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := gcppubsub.New(t.Context(), o); err == nil {
		second.Close()
		t.Error("a second bus on the same registry was opened")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := gcppubsub.New(t.Context(), o)
	if err != nil {
		t.Fatalf("after closing the first: %v", err)
	}
	again.Close()
}
