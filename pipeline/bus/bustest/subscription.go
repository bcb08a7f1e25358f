package bustest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"homefeed/pipeline/bus"
)

// TestPublishSubscribe holds a Publisher and its Subscriptions to the contract. open makes a bus for one subtest.
func TestPublishSubscribe(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"RoundTrip":            testRoundTrip,
		"OrderWithinKey":       testOrderWithinKey,
		"ConcurrentPublishers": testConcurrentPublishers,
		"TooLarge":             testTooLarge,
		"Deadlines":            testDeadlines,
		"PullMax":              testPullMax,
		"AckedStayAway":        testAckedStayAway,
		"NackBringsBack":       testNackBringsBack,
		"LeaseRunsOut":         testLeaseRunsOut,
		"Waiting":              testWaiting,
		"TwoSubscriptions":     testTwoSubscriptions,
		"CloseEndsPull":        testCloseEndsPull,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some wait for leases
			test(t, open(t))
		})
	}
}

// testRoundTrip: every field of a message arrives as it was published.
func testRoundTrip(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "round-trip", f.Lease)
	defer closeIt(t, s)
	start := time.Now()
	want := []bus.Message{
		{ID: "all", Key: "listener-1", Time: time.UnixMilli(1_402_916_400_123).UTC(), Data: []byte{0, 1, 0xff, '\r', '\n'},
			Attributes: map[string]string{"reason": "want 1–64 of A–Z\r\n", "kind": "  song "}},
		{ID: "no-key", Time: time.UnixMilli(1).UTC(), Data: []byte("x")},
		{ID: "no-time", Key: "listener-2", Data: []byte("y")},
	}
	publish(t, f.Publisher, f.Topic, want...)
	got := map[string]bus.Delivery{}
	for _, d := range pullAll(t, s, want) {
		got[d.ID] = d
	}
	for _, w := range want {
		d := got[w.ID]
		if w.Time.IsZero() {
			if !d.Time.Equal(d.Published) {
				t.Errorf("%s: Time %v, want the time of publishing, %v", w.ID, d.Time, d.Published)
			}
			w.Time = d.Time
		}
		if diff := cmp.Diff(w, d.Message, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: delivered message (-published +delivered):\n%s", w.ID, diff)
		}
		if d.Topic != f.Topic {
			t.Errorf("%s: Topic %q, want %q", w.ID, d.Topic, f.Topic)
		}
		// Clocks of different machines may be compared here, hence the minute.
		if d.Published.Before(start.Add(-time.Minute)) || d.Published.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s: Published %v, want about %v", w.ID, d.Published, start)
		}
	}
}

// testOrderWithinKey: the messages of a key come in the order of publishing, within a batch and across batches.
func testOrderWithinKey(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "order", f.Lease)
	defer closeIt(t, s)
	const keys, rounds, perRound = 5, 4, 10
	var all []bus.Message
	for round := range rounds {
		var batch []bus.Message
		for n := range perRound {
			for k := range keys {
				batch = append(batch, message(fmt.Sprintf("key%d", k), round*perRound+n))
			}
		}
		publish(t, f.Publisher, f.Topic, batch...)
		all = append(all, batch...)
	}
	next := map[string]int{}
	missing := len(all)
	ctx := patient(t)
	for missing > 0 {
		ds, err := s.Pull(ctx, 7)
		if err != nil {
			t.Fatalf("Pull: %v", err)
		}
		for _, d := range ds {
			if want := message(d.Key, next[d.Key]).ID; d.ID != want {
				t.Fatalf("key %s: delivered %s, want %s", d.Key, d.ID, want)
			}
			next[d.Key]++
			missing--
		}
		ack(t, s, ds...)
	}
}

// testConcurrentPublishers: everything of every publisher arrives.
func testConcurrentPublishers(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "concurrent", f.Lease)
	defer closeIt(t, s)
	const publishers, rounds, perRound = 6, 10, 8
	var all []bus.Message
	var wg sync.WaitGroup
	for p := range publishers {
		key := fmt.Sprintf("publisher%d", p)
		all = append(all, messages(key, 0, rounds*perRound)...)
		wg.Go(func() {
			for r := range rounds {
				if err := f.Publisher.Publish(patient(t), f.Topic, messages(key, r*perRound, perRound)...); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	missing := map[string]bool{}
	for _, m := range all {
		missing[m.ID] = true
	}
	ctx := patient(t)
	for len(missing) > 0 {
		ds, err := s.Pull(ctx, 100)
		if err != nil {
			t.Fatalf("Pull, with %d of %d missing: %v", len(missing), len(all), err)
		}
		for _, d := range ds {
			delete(missing, d.ID)
		}
		ack(t, s, ds...)
	}
}

// testTooLarge: the largest message passes, one byte more is refused and keeps its batch back.
func testTooLarge(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "large", f.Lease)
	defer closeIt(t, s)
	over := bus.Message{ID: "over", Data: make([]byte, bus.MaxData+1)}
	if err := f.Publisher.Publish(patient(t), f.Topic, message("with", 0), over); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("Publish of MaxData+1 bytes: %v, want ErrTooLarge", err)
	}
	largest := bus.Message{ID: "largest", Key: "k", Time: time.UnixMilli(5).UTC(), Data: make([]byte, bus.MaxData)}
	publish(t, f.Publisher, f.Topic, largest)
	for _, d := range pullAll(t, s, []bus.Message{largest}) {
		if d.ID == "over" {
			t.Error("the message that was refused was delivered")
		}
		if d.ID == "largest" && len(d.Data) != bus.MaxData {
			t.Errorf("the largest message arrived with %d bytes, want %d", len(d.Data), bus.MaxData)
		}
	}
}

// testDeadlines: Pull and Publish end with their contexts, and a Pull that ended loses nothing.
func testDeadlines(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "deadlines", f.Lease)
	defer closeIt(t, s)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if ds, err := s.Pull(ctx, 10); len(ds) > 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pull with nothing there = %v, %v, want context.DeadlineExceeded", ids(ds), err)
		}
		cancel()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Pull(ended, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("Pull with a cancelled context: %v, want context.Canceled", err)
	}
	if err := f.Publisher.Publish(ended, f.Topic, message("late", 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish with a cancelled context: %v, want context.Canceled", err)
	}
	want := apart("after", 10)
	publish(t, f.Publisher, f.Topic, want...)
	pullAll(t, s, want)
}

// testPullMax: Pull returns no more than it was asked for, and does not wait for that many.
func testPullMax(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "max", f.Lease)
	defer closeIt(t, s)
	publish(t, f.Publisher, f.Topic, messages("k", 0, 10)...)
	got := 0
	for got < 10 {
		ds, err := s.Pull(patient(t), 3)
		if err != nil {
			t.Fatalf("Pull: %v", err)
		}
		if len(ds) < 1 || len(ds) > 3 {
			t.Fatalf("Pull(3) returned %d deliveries, want 1 to 3", len(ds))
		}
		got += len(ds)
		ack(t, s, ds...)
	}
	if err := s.Ack(patient(t)); err != nil {
		t.Errorf("Ack of nothing: %v", err)
	}
}

// testAckedStayAway: over a new start, what was acknowledged stays away and what was not comes again.
func testAckedStayAway(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "acked", f.Lease)
	want := apart("k", 20)
	publish(t, f.Publisher, f.Topic, want...)
	acked := map[string]bool{}
	var unacked []bus.Message
	for _, d := range pullAll(t, s, want) {
		if d.ID >= "k15-0" && !acked[d.ID] { // not the first ones: acknowledged with open ones before them
			acked[d.ID] = true
			ack(t, s, d)
		}
	}
	for _, m := range want {
		if !acked[m.ID] {
			unacked = append(unacked, m)
		}
	}
	if len(unacked) == 0 || len(acked) == 0 {
		t.Fatalf("%d acknowledged and %d not: the test needs both", len(acked), len(unacked))
	}
	closeIt(t, s)

	f = f.Reopen(t)
	s = f.Subscribe(t, "acked", f.Lease)
	defer closeIt(t, s)
	last := message("last", 0)
	publish(t, f.Publisher, f.Topic, last)
	again := pullAll(t, s, append(unacked, last))
	for _, d := range again {
		if acked[d.ID] {
			t.Errorf("%s came again after its acknowledgement", d.ID)
		}
		if f.CountsAttempts && d.ID != last.ID && d.Attempt < 2 {
			t.Errorf("%s: Attempt %d after a new start, want at least 2", d.ID, d.Attempt)
		}
	}
	ack(t, s, again...)
	ack(t, s, again...) // of leases that are gone: not an error
}

// testNackBringsBack: a refused message comes again, with a higher Attempt.
func testNackBringsBack(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "nack", 10*f.Lease)
	defer closeIt(t, s)
	publish(t, f.Publisher, f.Topic, message("k", 0))
	for attempt := 1; attempt <= 3; attempt++ {
		ds, err := s.Pull(patient(t), 1)
		if err != nil {
			t.Fatalf("Pull: %v", err)
		}
		if f.CountsAttempts && ds[0].Attempt != attempt {
			t.Errorf("Attempt %d, want %d", ds[0].Attempt, attempt)
		}
		delay := time.Duration(attempt-1) * 10 * time.Millisecond
		if err := s.Nack(patient(t), delay, ds...); err != nil {
			t.Fatalf("Nack: %v", err)
		}
	}
	ack(t, s, pullAll(t, s, []bus.Message{message("k", 0)})...)
}

// testLeaseRunsOut: a message comes again when its lease has run out, and does not as long as the lease is extended.
func testLeaseRunsOut(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "lease", f.Lease)
	defer closeIt(t, s)
	want := []bus.Message{message("kept", 0), message("left", 0)}
	publish(t, f.Publisher, f.Topic, want...)
	var kept bus.Delivery
	for _, d := range pullAll(t, s, want) {
		if d.ID == want[0].ID {
			kept = d
		}
	}
	ctx, cancel := context.WithCancel(patient(t))
	var extending sync.WaitGroup
	extending.Go(func() {
		tick := time.NewTicker(f.Lease / 40)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := s.Extend(ctx, kept); err != nil && ctx.Err() == nil {
					t.Errorf("Extend: %v", err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	again := pullUntil(t, s, func(d bus.Delivery) bool { return d.ID == want[1].ID })
	cancel()
	extending.Wait()
	if containsID(again, kept.ID) {
		t.Error("a message came again while its lease was being extended")
	}
	if f.CountsAttempts && again[0].Attempt != 2 {
		t.Errorf("Attempt %d after a lease ran out, want 2", again[0].Attempt)
	}
	ack(t, s, append(again, kept)...)
}

// testWaiting: where the bus can tell, it counts what was not handed out.
func testWaiting(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "waiting", f.Lease)
	defer closeIt(t, s)
	_, known, err := s.Waiting(patient(t))
	if err != nil {
		t.Fatalf("Waiting: %v", err)
	}
	if !known {
		t.Log("this bus does not tell how many messages wait")
		return
	}
	waiting := func(want int) func() bool {
		return func() bool {
			n, _, err := s.Waiting(patient(t))
			if err != nil {
				t.Fatalf("Waiting: %v", err)
			}
			return n == want
		}
	}
	want := apart("k", 5)
	publish(t, f.Publisher, f.Topic, want...)
	eventually(t, "5 messages wait", waiting(5))
	ds := pullAll(t, s, want)
	eventually(t, "none waits, though none is acknowledged", waiting(0))
	ack(t, s, ds...)
}

// testTwoSubscriptions: each gets everything, whatever the other acknowledges.
func testTwoSubscriptions(t *testing.T, f Fixture) {
	one, two := f.Subscribe(t, "one", f.Lease), f.Subscribe(t, "two", f.Lease)
	defer closeIt(t, one)
	defer closeIt(t, two)
	want := apart("k", 5)
	publish(t, f.Publisher, f.Topic, want...)
	ack(t, one, pullAll(t, one, want)...)
	ack(t, two, pullAll(t, two, want)...)
}

// testCloseEndsPull: a Pull that waits ends with an error when the subscription is closed.
func testCloseEndsPull(t *testing.T, f Fixture) {
	s := f.Subscribe(t, "close", f.Lease)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Pull(patient(t), 1)
		ended <- err
	}()
	closeIt(t, s)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Pull returned no error and no message after Close")
		}
	case <-patient(t).Done():
		t.Error("Pull still waits after Close")
	}
}
