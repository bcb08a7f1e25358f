package beamgraph_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

// memory is a Source over a slice, a Recorder and a Publisher, all in memory.
type memory struct {
	mu        sync.Mutex
	messages  []source.Message
	next      int
	most      int // messages a pull; 0: as many as asked for
	acked     map[uint64]int
	recorded  map[string]int
	published map[string][]bus.Message
	onRecord  func([]event.Event) error
	changed   chan struct{}
}

func newMemory(messages []source.Message) *memory {
	return &memory{
		messages: messages, acked: map[uint64]int{}, recorded: map[string]int{},
		published: map[string][]bus.Message{}, changed: make(chan struct{}, 1),
	}
}

func (m *memory) connections(t testing.TB) *beamgraph.Connections {
	return &beamgraph.Connections{Source: m, Recorder: m, Publisher: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func (m *memory) Pull(_ context.Context, most int) (source.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.most > 0 {
		most = min(most, m.most)
	}
	rest := m.messages[m.next:]
	if len(rest) == 0 {
		return source.Batch{Idle: true}, nil
	}
	n := min(most, len(rest))
	m.next += n
	return source.Batch{Messages: rest[:n:n]}, nil
}

func (m *memory) Ack(_ context.Context, receipts []source.Receipt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range receipts {
		m.acked[r.Pos]++
	}
	m.signal()
	return nil
}

func (m *memory) signal() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *memory) Record(_ context.Context, events []event.Event) error {
	if m.onRecord != nil {
		if err := m.onRecord(events); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		m.recorded[e.ID]++
	}
	return nil
}

func (m *memory) Publish(_ context.Context, topic string, messages ...bus.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.published[topic] = append(m.published[topic], messages...)
	m.signal()
	return nil
}

func (m *memory) ackedCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.acked)
}

func (m *memory) on(topic string) []bus.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]bus.Message(nil), m.published[topic]...)
}

// until waits for a condition that Ack or Publish can make true.
func (m *memory) until(ctx context.Context, t testing.TB, what string, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-m.changed:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v (acknowledged %d of %d)", what, context.Cause(ctx), m.ackedCount(), len(m.messages))
		}
	}
}

// base is when made-up logs begin: in the past, so that the clock makes everything due at the end.
var base = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// madeUp is a log of n events in order, rate a second.
func madeUp(seed uint64, n, listeners int, rate float64) []event.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	events := make([]event.Event, n)
	at := base
	for i := range events {
		at = at.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second))).Truncate(time.Millisecond)
		e := event.Event{
			ID: fmt.Sprintf("e%06d", i), Kind: event.Played, Time: at, Market: []string{"DE", "SE", ""}[r.IntN(3)],
			User: fmt.Sprintf("user%d", r.IntN(listeners)), Object: fmt.Sprintf("track%d", r.IntN(40)),
		}
		switch r.IntN(10) {
		case 0:
			e.Kind = event.Hearted
		case 1:
			e.Kind, e.Object = event.Followed, fmt.Sprintf("artist%d", r.IntN(9))
		}
		events[i] = e
	}
	return events
}

func messagesOf(t testing.TB, events []event.Event) []source.Message {
	t.Helper()
	messages := make([]source.Message, len(events))
	for i, e := range events {
		data, err := event.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		messages[i] = source.Message{Topic: e.Kind.Topic(), Data: data, Time: e.Time, Receipt: source.Receipt{Pos: uint64(i + 1)}}
	}
	return messages
}

func fill(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

var testShelves = []*shelf.Shelf{
	{Name: "quick", Doc: "d", Fill: fill, Guard: shelf.Guard{Freshness: 2 * time.Second}},
	{Name: "slow", Doc: "d", Fill: fill, Guard: shelf.Guard{Freshness: 30 * time.Second}},
	{Name: "hearts", Doc: "d", Fill: fill, On: []shelf.Signal{{Kind: shelf.Hearted}, {Kind: shelf.Followed}}},
	{Name: "burst", Doc: "d", Fill: fill, On: []shelf.Signal{{Kind: shelf.Played, AtLeast: 3, Within: time.Minute}}},
}

func testRules(t testing.TB) beamgraph.Rules {
	t.Helper()
	rules, err := beamgraph.RulesOf(testShelves, refreshpolicy.Config{Cooldown: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// reference is what the policy alone makes of events in this order.
func reference(t testing.TB, events []event.Event) []trigger.Trigger {
	t.Helper()
	policy, err := refreshpolicy.New(testShelves, refreshpolicy.Config{Cooldown: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]*refreshpolicy.State{}
	var fired []trigger.Trigger
	for i, e := range events {
		s := states[e.User]
		if s == nil {
			s = &refreshpolicy.State{}
			states[e.User] = s
		}
		fired = append(fired, policy.Add(s, e, uint64(i+1))...)
	}
	for user, s := range states {
		fired = append(fired, policy.Advance(s, user, base.Add(1000*time.Hour))...)
	}
	return fired
}

// triggersOf decodes what was published for listeners, or for markets.
func triggersOf(t testing.TB, messages []bus.Message, markets bool) []trigger.Trigger {
	t.Helper()
	var out []trigger.Trigger
	for _, m := range messages {
		tr, err := trigger.Decode(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if (tr.Market != "") == markets {
			out = append(out, tr)
		}
	}
	return out
}
