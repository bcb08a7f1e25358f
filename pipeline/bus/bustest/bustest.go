// Package bustest is the contract of package bus as tests: TestPublishSubscribe for a Publisher with its
// Subscriptions and TestLog for a Log. Every implementation runs them.
package bustest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"homefeed/pipeline/bus"
)

// Fixture is a bus under test. Its topic is empty and it has no subscriptions when a test gets it.
type Fixture struct {
	Publisher bus.Publisher
	// Topic is what the tests publish to.
	Topic string
	// Lease is a lease time that the bus can do, the shorter the better, but not so short that a machine under load
	// misses it: the tests wait for leases to run out.
	Lease time.Duration
	// CountsAttempts says that deliveries carry Attempt.
	CountsAttempts bool
	// Subscribe opens the durable subscription of this name to Topic. The first call for a name makes it. The test
	// closes what it gets.
	Subscribe func(t testing.TB, name string, lease time.Duration) bus.Subscription
	// OpenLog opens the log of this name on Topic; nil where the bus has no logs. The test closes what it gets.
	OpenLog func(t testing.TB, name string) bus.Log
	// Reopen does what ending the process and starting it again does, and returns the fixture to go on with.
	Reopen func(t testing.TB) Fixture
}

// patience is how long a test waits for what must happen. It is generous: it is reached only by a failing test.
const patience = 2 * time.Minute

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// message is the n-th message of a key, different from every other in each field.
func message(key string, n int) bus.Message {
	return bus.Message{
		ID:   fmt.Sprintf("%s-%d", key, n),
		Key:  key,
		Time: time.UnixMilli(1_700_000_000_000 + int64(n)).UTC(),
		Data: fmt.Appendf(nil, "%s/%d", key, n),
	}
}

func messages(key string, from, n int) []bus.Message {
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i] = message(key, from+i)
	}
	return msgs
}

// apart are messages that each have a key of their own: of one key, a bus may hold back what is behind a message that
// is not acknowledged.
func apart(prefix string, n int) []bus.Message {
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i] = message(fmt.Sprintf("%s%d", prefix, i), 0)
	}
	return msgs
}

func publish(t testing.TB, p bus.Publisher, topic string, msgs ...bus.Message) {
	t.Helper()
	if err := p.Publish(patient(t), topic, msgs...); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

// pullUntil pulls until done, called with each delivery, has said so, and returns all deliveries. What comes with the
// last one is in it.
func pullUntil(t testing.TB, s bus.Subscription, done func(bus.Delivery) bool) []bus.Delivery {
	t.Helper()
	ctx := patient(t)
	var all []bus.Delivery
	for end := false; !end; {
		ds, err := s.Pull(ctx, 100)
		if err != nil {
			t.Fatalf("Pull after %d deliveries: %v", len(all), err)
		}
		if len(ds) == 0 || len(ds) > 100 {
			t.Fatalf("Pull(100) returned %d deliveries and no error, want 1 to 100", len(ds))
		}
		for _, d := range ds {
			end = done(d) || end
		}
		all = append(all, ds...)
	}
	return all
}

// pullAll pulls until all of want have come at least once.
func pullAll(t testing.TB, s bus.Subscription, want []bus.Message) []bus.Delivery {
	t.Helper()
	missing := map[string]bool{}
	for _, m := range want {
		missing[m.ID] = true
	}
	if len(missing) == 0 {
		return nil
	}
	return pullUntil(t, s, func(d bus.Delivery) bool {
		delete(missing, d.ID)
		return len(missing) == 0
	})
}

func ack(t testing.TB, s bus.Subscription, ds ...bus.Delivery) {
	t.Helper()
	if err := s.Ack(patient(t), ds...); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func closeIt(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func ids(ds []bus.Delivery) []string {
	out := make([]string, len(ds))
	for i := range ds {
		out[i] = ds[i].ID
	}
	return out
}

func containsID(ds []bus.Delivery, id string) bool {
	return slices.ContainsFunc(ds, func(d bus.Delivery) bool { return d.ID == id })
}

// eventually polls until ok, for what follows "soon" after something else.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := patient(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
