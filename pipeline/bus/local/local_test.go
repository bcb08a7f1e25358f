package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

func openBus(tb testing.TB, o local.Options) *local.Bus {
	tb.Helper()
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	b, err := local.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeBus(tb, b) })
	return b
}

func closeBus(tb testing.TB, b *local.Bus) {
	tb.Helper()
	if err := b.Close(); err != nil {
		tb.Errorf("closing: %v", err)
	}
}

// patient bounds what must happen soon; only a failing test reaches it.
func patient(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

func publishTo(tb testing.TB, p bus.Publisher, topic string, ids ...string) {
	tb.Helper()
	msgs := make([]bus.Message, len(ids))
	for i, id := range ids {
		msgs[i] = bus.Message{ID: id, Data: []byte(id)}
	}
	if err := p.Publish(patient(tb), topic, msgs...); err != nil {
		tb.Fatal(err)
	}
}

// batch makes events as the pipeline publishes them: 200 bytes, with an id, a listener as key, and a time.
func batch(from, n int) []bus.Message {
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i] = bus.Message{
			ID:   fmt.Sprintf("event-%012d", from+i),
			Key:  fmt.Sprintf("listener-%d", (from+i)%5000),
			Time: time.UnixMilli(1_700_000_000_000 + int64(from+i)),
			Data: make([]byte, 200),
		}
	}
	return msgs
}

func publish(tb testing.TB, b *local.Bus, n int) {
	tb.Helper()
	publishOn(tb, b, event.Played.Topic(), n)
}

func publishOn(tb testing.TB, b *local.Bus, topic string, n int) {
	tb.Helper()
	for from := 0; from < n; from += 1000 {
		if err := b.Publish(tb.Context(), topic, batch(from, min(1000, n-from))...); err != nil {
			tb.Fatal(err)
		}
	}
}

// readIDs reads until Waiting is 0 and returns "topic id" of each.
func readIDs(tb testing.TB, l bus.Log) []string {
	tb.Helper()
	var got []string
	for {
		n, err := l.Waiting(patient(tb))
		if err != nil {
			tb.Fatal(err)
		}
		if n == 0 {
			return got
		}
		entries, err := l.Read(patient(tb), 100)
		if err != nil {
			tb.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, e.Topic+" "+e.ID)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	registry := prometheus.NewRegistry()
	taken := openBus(t, local.Options{Listen: "127.0.0.1:0", Registerer: registry})
	dir := t.TempDir()
	openBus(t, local.Options{Dir: dir})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options local.Options
		want    string
	}{
		"DirInUse":       {local.Options{Dir: dir}, "another process"},
		"DirIsFile":      {local.Options{Dir: file}, "Dir"},
		"AllInterfaces":  {local.Options{Listen: ":4222"}, "loopback"},
		"OtherInterface": {local.Options{Listen: "192.0.2.1:4222"}, "loopback"},
		"NoPort":         {local.Options{Listen: "127.0.0.1"}, "host:port"},
		"PortOutOfRange": {local.Options{Listen: "127.0.0.1:70000"}, "65535"},
		"PortTaken":      {local.Options{Listen: taken.Addr()}, "address already in use"},
		"MetricsTaken":   {local.Options{Registerer: registry}, "metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.options.Dir == "" {
				test.options.Dir = t.TempDir()
			}
			b, err := local.Open(patient(t), test.options)
			if err == nil {
				closeBus(t, b)
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want it to say %q", err, test.want)
			}
		})
	}
}

// TestOpenAgain: after Close, the directory and the metrics' names are free; a size that no disk has is accepted.
func TestOpenAgain(t *testing.T) {
	o := local.Options{Dir: t.TempDir(), Registerer: prometheus.NewRegistry(), MaxBytes: 1 << 50}
	for range 2 {
		b, err := local.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		publishTo(t, b, trigger.Topic, "a")
		closeBus(t, b)
	}
}

func TestTopicsAndNamesAreChecked(t *testing.T) {
	b := openBus(t, local.Options{})
	subscribe := func(name string, topics ...string) error {
		_, err := b.Subscribe(t.Context(), name, topics, local.SubscriptionOptions{})
		return err
	}
	openLog := func(name string, topics ...string) error {
		_, err := b.OpenLog(t.Context(), name, topics)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"PublishUnknown":     {b.Publish(t.Context(), "no-such-topic", bus.Message{}), "no-such-topic"},
		"PublishWildcard":    {b.Publish(t.Context(), ">", bus.Message{}), "unknown"},
		"IDWithNewline":      {b.Publish(t.Context(), trigger.Topic, bus.Message{ID: "a\r\nb"}), "ID"},
		"KeyWithSpace":       {b.Publish(t.Context(), trigger.Topic, bus.Message{Key: "a "}), "Key"},
		"SubscribeNoTopic":   {subscribe("s"), "at least one"},
		"SubscribeEvents":    {subscribe("s", event.Topics()...), "read as a log"},
		"SubscribeTwoKinds":  {subscribe("s", event.Played.Topic(), trigger.Topic), "different streams"},
		"SubscribeNoName":    {subscribe("", trigger.Topic), "name"},
		"SubscribeBadName":   {subscribe("a.b", trigger.Topic), "name"},
		"LogUnknown":         {openLog("l", "no-such-topic"), "no-such-topic"},
		"LogBadName":         {openLog("a b", trigger.Topic), "name"},
		"LogTwoKindsOfTopic": {openLog("l", trigger.Topic, trigger.DeadLetterTopic), "different streams"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want an error that says %q", name, test.err, test.want)
		}
	}
}

// TestTopicsOfAStream reads one topic, all topics, and topics that share a stream with others.
func TestTopicsOfAStream(t *testing.T) {
	b := openBus(t, local.Options{})
	publishTo(t, b, "song-played", "p1")
	publishTo(t, b, "artist-followed", "f1")
	publishTo(t, b, "song-hearted", "h1", "h2")
	publishTo(t, b, "song-played", "p2")
	publishTo(t, b, "refresh-triggers", "t1")
	for _, test := range []struct {
		topics []string
		want   []string
	}{
		{event.Topics(), []string{"song-played p1", "artist-followed f1", "song-hearted h1", "song-hearted h2", "song-played p2"}},
		{[]string{"song-hearted"}, []string{"song-hearted h1", "song-hearted h2"}},
		{[]string{"song-played", "artist-followed"}, []string{"song-played p1", "artist-followed f1", "song-played p2"}},
		{[]string{"refresh-triggers"}, []string{"refresh-triggers t1"}},
		{[]string{"dead-letter"}, nil},
	} {
		l, err := b.OpenLogAt(t.Context(), test.topics, 0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, readIDs(t, l)); diff != "" {
			t.Errorf("log of %v (-want +got):\n%s", test.topics, diff)
		}
		if err := l.SetFloor(t.Context(), 1); err == nil {
			t.Error("SetFloor of a log without a name succeeded")
		}
		l.Close()
	}
	l, err := b.OpenLogAt(t.Context(), event.Topics(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	entries, err := l.Read(patient(t), 3)
	if err != nil || len(entries) != 3 {
		t.Fatalf("Read = %d entries, %v, want 3", len(entries), err)
	}
	if l, err = b.OpenLogAt(t.Context(), event.Topics(), entries[2].Pos); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if diff := cmp.Diff([]string{"song-hearted h2", "song-played p2"}, readIDs(t, l)); diff != "" {
		t.Errorf("log behind the first of the two that were published at once (-want +got):\n%s", diff)
	}
}

// TestDuplicates: an ID again on its topic is dropped, on another topic it is another message. What travels in packs
// is dropped when the same messages are published again.
func TestDuplicates(t *testing.T) {
	b := openBus(t, local.Options{})
	for _, topic := range []string{trigger.Topic, "song-played", "song-hearted"} {
		publishTo(t, b, topic, "a", "b")
		publishTo(t, b, topic, "a", "b")
		publishTo(t, b, topic, "b", "c")
	}
	for _, test := range []struct{ topics, want []string }{
		{[]string{trigger.Topic}, []string{"refresh-triggers a", "refresh-triggers b", "refresh-triggers c"}},
		{event.Topics(), []string{"song-played a", "song-played b", "song-played b", "song-played c",
			"song-hearted a", "song-hearted b", "song-hearted b", "song-hearted c"}},
	} {
		l, err := b.OpenLogAt(t.Context(), test.topics, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if diff := cmp.Diff(test.want, readIDs(t, l)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
	}
}

// TestMaxOutstanding: Pull hands out what it may at once, even when it was asked for more, and the rest after Ack.
func TestMaxOutstanding(t *testing.T) {
	b := openBus(t, local.Options{})
	publishOn(t, b, trigger.Topic, 300)
	s, err := b.Subscribe(t.Context(), "s", []string{trigger.Topic}, local.SubscriptionOptions{Lease: time.Hour, MaxOutstanding: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Thirty Pulls: if each waited for more than it may hand out, until its request of ten seconds expires, this
	// context would end before the last.
	ctx := patient(t)
	for got := 0; got < 300; {
		ds, err := s.Pull(ctx, 100)
		if err != nil {
			t.Fatalf("Pull after %d messages: %v", got, err)
		}
		if len(ds) > 10 {
			t.Fatalf("Pull handed out %d, want at most MaxOutstanding 10", len(ds))
		}
		got += len(ds)
		if err := s.Ack(ctx, ds...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	b := openBus(t, local.Options{})
	l, err := b.OpenLog(t.Context(), "l", event.Topics())
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Subscribe(t.Context(), "s", []string{trigger.Topic}, local.SubscriptionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { _, err := l.Read(patient(t), 1); ended <- err }()
	go func() { _, err := s.Pull(patient(t), 1); ended <- err }()
	closeBus(t, b)
	for range 2 {
		if err := <-ended; !errors.Is(err, local.ErrClosed) {
			t.Errorf("waiting call: %v, want ErrClosed", err)
		}
	}
	if err := b.Publish(t.Context(), trigger.Topic, bus.Message{ID: "x"}); !errors.Is(err, local.ErrClosed) {
		t.Errorf("Publish: %v, want ErrClosed", err)
	}
	if err := s.Ack(t.Context(), bus.Delivery{Handle: "$JS.ACK.TRIGGERS.s.1.1.1.0.0"}); !errors.Is(err, local.ErrClosed) {
		t.Errorf("Ack: %v, want ErrClosed", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing the log after the bus: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// TestRetentionIsReported: a log whose place went out of retention says how much it has missed, and goes on.
func TestRetentionIsReported(t *testing.T) {
	dir, registry := t.TempDir(), prometheus.NewRegistry()
	b := openBus(t, local.Options{Dir: dir, MaxBytes: 64 << 10, Registerer: registry})
	publishOn(t, b, trigger.Topic, 10)
	l, err := b.OpenLog(t.Context(), "l", []string{trigger.Topic})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := l.Read(patient(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetFloor(patient(t), entries[4].Pos); err != nil {
		t.Fatal(err)
	}
	l.Close()
	for i := range 100 {
		publishTo(t, b, trigger.Topic, fmt.Sprint(i)+strings.Repeat("x", 2000))
	}
	if l, err = b.OpenLog(t.Context(), "l", []string{trigger.Topic}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	kept := len(readIDs(t, l))
	if kept == 0 || kept >= 100 {
		t.Fatalf("%d of 100 kept: the test needs some, not all", kept)
	}
	if got, want := counter(t, registry, "homefeed_bus_unread_dropped_total"), float64(105-kept); got != want {
		t.Errorf("homefeed_bus_unread_dropped_total = %v, want %v", got, want)
	}
	if got := counter(t, registry, "homefeed_bus_published_total"); got != 110 {
		t.Errorf("homefeed_bus_published_total = %v, want 110", got)
	}
}

// counter sums a metric over its labels.
func counter(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}
