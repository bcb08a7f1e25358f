package source_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/pipelinetest"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

var start = time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)

// logOf has n messages, a second apart.
func logOf(n int) *pipelinetest.Log {
	l := &pipelinetest.Log{}
	for i := range n {
		l.AppendRaw("song-played", bus.Message{Time: start.Add(time.Duration(i) * time.Second), Data: []byte{byte(i)}})
	}
	return l
}

func pull(t testing.TB, s interface {
	Pull(context.Context, int) (source.Batch, error)
}, most int) source.Batch {
	t.Helper()
	b, err := s.Pull(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func receipts(b source.Batch) (rs []source.Receipt) {
	for _, m := range b.Messages {
		rs = append(rs, m.Receipt)
	}
	return rs
}

func TestLogIsIdleOnlyWhenAllIsHandedOut(t *testing.T) {
	l := logOf(5)
	l.MostRead = 2
	s := source.NewLog(l.Open(), source.Limits{}, time.Now)
	if b := pull(t, s, 3); len(b.Messages) != 3 || b.Idle {
		t.Errorf("got %d messages, idle %v; want 3 and not idle", len(b.Messages), b.Idle)
	}
	if b := pull(t, s, 3); len(b.Messages) != 2 || !b.Idle {
		t.Errorf("got %d messages, idle %v; want the last 2 and idle", len(b.Messages), b.Idle)
	}
	if b := pull(t, s, 3); len(b.Messages) != 0 || !b.Idle {
		t.Errorf("got %d messages, idle %v; want none and idle", len(b.Messages), b.Idle)
	}
}

// The floor is never at or above a message that is not acknowledged, and reaches the end when all are.
func TestFloorStaysBehindTheOldestUnacknowledged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "messages")
		l, c := logOf(n), &clock{start}
		s := source.NewLog(l.Open(), source.Limits{FloorEvery: time.Nanosecond}, c.now)
		left := map[uint64]bool{}
		for _, r := range receipts(pull(t, s, n)) {
			left[r.Pos] = true
		}
		for len(left) > 0 {
			pos := rapid.Uint64Range(1, uint64(n)).Draw(rt, "pos") // some twice
			c.at = c.at.Add(time.Second)
			if err := s.Ack(t.Context(), []source.Receipt{{Pos: pos}}); err != nil {
				rt.Fatal(err)
			}
			delete(left, pos)
			for p := range left {
				if l.Floor() >= p {
					rt.Fatalf("the floor is %d although %d is not acknowledged", l.Floor(), p)
				}
			}
		}
		if l.Floor() != uint64(n) || s.Unserved() != 0 {
			rt.Fatalf("all is acknowledged, the floor is %d and %d are unserved; want %d and 0", l.Floor(), s.Unserved(), n)
		}
	})
}

func TestFloorIsWrittenLater(t *testing.T) {
	l, c := logOf(3), &clock{start}
	s := source.NewLog(l.Open(), source.Limits{FloorEvery: time.Minute}, c.now)
	rs := receipts(pull(t, s, 3))
	for i, want := range []uint64{1, 1} { // the second one is too soon
		if err := s.Ack(t.Context(), rs[i:i+1]); err != nil {
			t.Fatal(err)
		}
		if l.Floor() != want {
			t.Errorf("after %d the floor is %d, want %d", i+1, l.Floor(), want)
		}
	}
	c.at = c.at.Add(time.Minute)
	if pull(t, s, 1); l.Floor() != 2 {
		t.Errorf("a pull after the pause leaves the floor at %d, want 2", l.Floor())
	}
	if err := s.Ack(t.Context(), rs[2:]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil || l.Floor() != 3 {
		t.Errorf("closing: %v, the floor is %d, want 3", err, l.Floor())
	}
}

func TestLogStopsAtItsLimit(t *testing.T) {
	l := logOf(10)
	s := source.NewLog(l.Open(), source.Limits{Unserved: 4}, time.Now)
	first := pull(t, s, 10)
	if len(first.Messages) != 4 {
		t.Fatalf("%d messages, want 4", len(first.Messages))
	}
	if b := pull(t, s, 10); len(b.Messages) != 0 || !b.Idle {
		t.Errorf("at the limit: %d messages, idle %v; want none, and time to go on", len(b.Messages), b.Idle)
	}
	if err := s.Ack(t.Context(), receipts(first)[:2]); err != nil {
		t.Fatal(err)
	}
	if b := pull(t, s, 10); len(b.Messages) != 2 {
		t.Errorf("with room for two: %d messages", len(b.Messages))
	}
}

func TestLogHandsOnErrors(t *testing.T) {
	away := errors.New("the bus is away")
	for _, method := range []string{"Waiting", "Read", "SetFloor"} {
		t.Run(method, func(t *testing.T) {
			l := logOf(1)
			l.Fail = func(m string) error {
				if m == method {
					return away
				}
				return nil
			}
			s := source.NewLog(l.Open(), source.Limits{FloorEvery: time.Nanosecond}, time.Now)
			b, err := s.Pull(t.Context(), 1)
			if method == "SetFloor" {
				err = s.Ack(t.Context(), receipts(b))
			}
			if !errors.Is(err, away) {
				t.Errorf("got %v, want %v", err, away)
			}
		})
	}
}

// The floor of recent events stays a window behind, so that a reader that starts again sees the window whole.
func TestRecentKeepsAWindow(t *testing.T) {
	const keep = 60 * time.Second
	l := logOf(300)
	l.MostRead = 1
	r := source.NewRecent(l.Open(), keep, source.Limits{}, time.Now)
	for range 150 {
		pull(t, r, 1)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := source.NewRecent(l.Open(), keep, source.Limits{}, time.Now)
	first, newest := pull(t, again, 1).Messages[0], start.Add(149*time.Second)
	if age := newest.Sub(first.Time); age < keep-time.Second || age > keep+5*time.Second {
		t.Errorf("starts again with a message %v older than the newest, want about %v", age, keep)
	}
	if err := again.Ack(t.Context(), []source.Receipt{first.Receipt}); err != nil {
		t.Error(err)
	}
}

// A clock that runs ahead must not move the floor past what is recent for everybody else.
func TestRecentIgnoresTheFuture(t *testing.T) {
	l := logOf(3)
	l.AppendRaw("song-played", bus.Message{Time: time.Now().Add(time.Hour)})
	l.AppendRaw("song-played", bus.Message{Time: start.Add(4 * time.Second)})
	l.MostRead = 1
	r := source.NewRecent(l.Open(), time.Minute, source.Limits{}, time.Now)
	for range 5 {
		pull(t, r, 1)
	}
	if l.Floor() != 0 {
		t.Errorf("the floor is %d, want 0", l.Floor())
	}
}
