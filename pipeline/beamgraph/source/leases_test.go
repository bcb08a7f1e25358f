package source_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
)

// subscription hands out what is in ready and notes what it is told.
type subscription struct {
	ready chan bus.Delivery
	fail  error

	mu       sync.Mutex
	acked    []string
	extended map[string]int
	closed   bool
}

func newSubscription(handles ...string) *subscription {
	s := &subscription{ready: make(chan bus.Delivery, 100), extended: map[string]int{}}
	for _, h := range handles {
		s.ready <- bus.Delivery{Handle: h, Topic: "song-played", Published: start}
	}
	return s
}

func (s *subscription) Pull(ctx context.Context, most int) ([]bus.Delivery, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	select {
	case d := <-s.ready:
		return []bus.Delivery{d}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *subscription) Ack(_ context.Context, ds ...bus.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		s.acked = append(s.acked, d.Handle)
	}
	return s.fail
}

func (s *subscription) Extend(_ context.Context, ds ...bus.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		s.extended[d.Handle]++
	}
	return nil
}

func (*subscription) Nack(context.Context, time.Duration, ...bus.Delivery) error { return nil }
func (*subscription) Waiting(context.Context) (int, bool, error)                 { return 0, false, nil }

func (s *subscription) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func leases(t *testing.T, extend time.Duration, limits source.Limits, subs ...bus.Subscription) *source.Leases {
	t.Helper()
	l := source.NewLeases(subs, extend, limits, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSubscription("a1", "a2"), newSubscription("b1")
		l := leases(t, 20*time.Second, source.Limits{}, a, b)
		synctest.Wait()
		if got := pull(t, l, 0); got.Idle {
			t.Error("idle before the subscriptions have answered")
		}
		batch := pull(t, l, 10)
		if len(batch.Messages) != 3 {
			t.Fatalf("%d messages, want 3", len(batch.Messages))
		}
		if !slices.IsSortedFunc(batch.Messages, func(x, y source.Message) int { return int(x.Receipt.Pos - y.Receipt.Pos) }) {
			t.Error("positions don't rise")
		}
		if pull(t, l, 10).Idle {
			t.Error("idle right after messages: more may be waiting")
		}
		time.Sleep(1500 * time.Millisecond) // in the bubble: until pulls have come back empty
		synctest.Wait()
		if !pull(t, l, 10).Idle {
			t.Error("not idle although both subscriptions have nothing")
		}
		if err := l.Ack(t.Context(), receipts(batch)[:2]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(a.acked)+len(b.acked) != 2 || l.Unserved() != 1 {
			t.Errorf("acknowledged %v and %v, %d unserved; want two and one", a.acked, b.acked, l.Unserved())
		}
		if len(a.extended)+len(b.extended) != 1 {
			t.Errorf("extended %v and %v, want the one that is left", a.extended, b.extended)
		}
	})
}

func TestLeasesStopAtTheirLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubscription("a", "b", "c", "d")
		l := leases(t, time.Minute, source.Limits{Unserved: 2}, s)
		synctest.Wait()
		batch := pull(t, l, 10)
		if len(batch.Messages) != 2 {
			t.Fatalf("%d messages, want 2", len(batch.Messages))
		}
		if !pull(t, l, 10).Idle {
			t.Error("at the limit time must go on")
		}
		if err := l.Ack(t.Context(), receipts(batch)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(pull(t, l, 10).Messages); got != 2 {
			t.Errorf("with room again: %d messages, want 2", got)
		}
	})
}

func TestLeasesOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubscription("a")
		l := leases(t, 0, source.Limits{Unserved: 1}, s)
		synctest.Wait()
		batch := pull(t, l, 10)
		if l.Unserved() != 0 {
			t.Error("a lease was remembered")
		}
		other := leases(t, 0, source.Limits{}, s)
		if err := other.Ack(t.Context(), receipts(batch)); err != nil || !slices.Equal(s.acked, []string{"a"}) {
			t.Errorf("another process acknowledged %v (%v), want a", s.acked, err)
		}
	})
}

func TestLeasesReportFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubscription()
		s.fail = errors.New("the bus is away")
		l := leases(t, time.Minute, source.Limits{}, s)
		synctest.Wait()
		if _, err := l.Pull(t.Context(), 1); !errors.Is(err, s.fail) {
			t.Errorf("got %v, want %v", err, s.fail)
		}
		if b := pull(t, l, 1); b.Idle {
			t.Error("idle although the bus is away")
		}
		if err := l.Ack(t.Context(), []source.Receipt{{Handle: "0:x"}}); !errors.Is(err, s.fail) {
			t.Errorf("got %v, want %v", err, s.fail)
		}
	})
}

func FuzzReceiptHandle(f *testing.F) {
	for _, s := range []string{"", "0:", "0:x", "1:x:y", "2:x", "-1:x", "99999999999999999999:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, handle string) {
		s, other := newSubscription(), newSubscription()
		l := leases(t, 0, source.Limits{}, s, other)
		err := l.Ack(t.Context(), []source.Receipt{{Handle: handle}})
		acked := len(s.acked) + len(other.acked)
		if (err == nil) != (acked == 1) {
			t.Errorf("%q: error %v, %d acknowledged", handle, err, acked)
		}
		for i, sub := range []*subscription{s, other} {
			for _, h := range sub.acked {
				if fmt.Sprintf("%d:%s", i, h) != handle && h != handle[len(handle)-len(h):] {
					t.Errorf("%q acknowledged %q on %d", handle, h, i)
				}
			}
		}
	})
}
