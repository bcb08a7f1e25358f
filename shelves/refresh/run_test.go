package refresh_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
)

// metric is the sum over the labels of a counter or gauge, or of a histogram's observations.
func (f *fixture) metric(t *testing.T, name string) (n float64) {
	t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "homefeed_refresh_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			n += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return n
}

// wantBus is an error of t unless as many are acked, left, and dead for reasons that begin so.
func (f *fixture) wantBus(t *testing.T, acked, left int, dead ...string) {
	t.Helper()
	a, l, d := f.bus.state()
	if a != acked || l != left {
		t.Errorf("%d acked and %d left, want %d and %d", a, l, acked, left)
	}
	if !slices.EqualFunc(d, dead, strings.HasPrefix) {
		t.Errorf("dead letters %q, want %q", d, dead)
	}
}

// gated is a shelf whose calls wait for the gate to open, and which notes who is being served.
type gated struct {
	gate    chan struct{}
	mu      sync.Mutex
	serving map[string]int
	served  []string
	most    int // served at once
	twice   bool
}

func newGated() *gated { return &gated{gate: make(chan struct{}), serving: map[string]int{}} }

func (g *gated) shelf() *shelf.Shelf {
	s := filling("gated", func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
		g.mu.Lock()
		g.serving[r.User]++
		g.twice = g.twice || g.serving[r.User] > 1
		g.most = max(g.most, len(g.serving))
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			delete(g.serving, r.User)
			g.served = append(g.served, r.User)
			g.mu.Unlock()
		}()
		select {
		case <-g.gate:
			return oneCard, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	s.Guard.Timeout = shelf.MaxTimeout
	return s
}

func TestRunAcksAfterTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.bus.onAck = func() error {
			if f.store.writeCount() != 1 {
				t.Error("acked before the write")
			}
			return nil
		}
		stop := f.start(t)
		f.bus.publish(due("ann", 0, "recently_played"))
		synctest.Wait()
		f.wantBus(t, 1, 0)
		for _, name := range []string{"triggers_total", "event_to_visible_seconds", "beyond_freshness_seconds", "fill_seconds", "cards"} {
			if n := f.metric(t, name); n != 1 {
				t.Errorf("metric %s: %v, want 1", name, n)
			}
		}
		if n := f.metric(t, "held") + f.metric(t, "in_flight"); n != 0 {
			t.Errorf("held and in flight: %v, want 0", n)
		}
		stopped(t, stop)
	})
}

func TestRunMergesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		f := newFixture(g.shelf())
		stop := f.start(t)
		f.bus.publish(due("ann", 2*time.Minute, "gated"))
		synctest.Wait() // it is being worked on
		newest := due("ann", 0, "heavy_rotation", "gated")
		f.bus.publish(due("ann", time.Minute, "recently_played", "gated"), newest, newest, due("ann", 2*time.Minute, "heavy_rotation"))
		f.bus.publish(due("bob", 0, "recently_played"))
		synctest.Wait()
		f.wantBus(t, 1, 5) // Bob does not wait for Ann
		close(g.gate)
		synctest.Wait()
		f.wantBus(t, 6, 0)
		if n := f.store.writeCount(); n != 3 {
			t.Errorf("%d writes, want one for Bob and two for Ann", n)
		}
		if n := f.metric(t, "coalesced_total"); n != 3 {
			t.Errorf("coalesced: %v, want 3", n)
		}
		asOf := map[string]time.Time{}
		for name, d := range f.row(t, "ann") {
			asOf[name] = d.AsOf
		}
		want := map[string]time.Time{
			"gated": shelftest.Noon, "heavy_rotation": shelftest.Noon, "recently_played": shelftest.Noon.Add(-time.Minute),
		}
		if diff := cmp.Diff(want, asOf); diff != "" {
			t.Errorf("as of (-want +got):\n%s", diff)
		}
		stopped(t, stop)
	})
}

func TestRunServesListenersAtOnceAndEachAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		f := newFixture(g.shelf())
		f.cfg.Concurrency, f.cfg.MaxHeld = 3, 12
		stop := f.start(t)
		for i := range 30 {
			f.bus.publish(due(fmt.Sprintf("user%d", i%10), time.Duration(i)*time.Second, "gated"))
		}
		synctest.Wait()
		if n := f.metric(t, "held"); n != 12 {
			t.Errorf("held: %v, want MaxHeld", n)
		}
		close(g.gate)
		synctest.Wait()
		f.wantBus(t, 30, 0)
		if g.most != 3 || g.twice {
			t.Errorf("at most %d listeners at once, one of them twice: %v; want 3, each alone", g.most, g.twice)
		}
		for _, allowed := range f.bus.pulls {
			if allowed < 1 || allowed > 12 {
				t.Errorf("a pull of up to %d, want 1 to MaxHeld", allowed)
			}
		}
		stopped(t, stop)
	})
}

// TestRunYields: while somebody needs the machine more, one listener is worked on at a time, and afterwards as many as
// ever.
func TestRunYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		f := newFixture(g.shelf())
		var needed atomic.Bool
		needed.Store(true)
		f.cfg.Concurrency, f.cfg.ExtendEvery, f.cfg.Yield = 3, 100*time.Millisecond, needed.Load
		stop := f.start(t)
		for i := range 10 {
			f.bus.publish(due(fmt.Sprintf("user%d", i), 0, "gated"))
		}
		elapse(time.Second)
		if n := f.metric(t, "in_flight"); n != 1 {
			t.Errorf("%v listeners at once while yielding, want 1", n)
		}
		needed.Store(false)
		elapse(time.Second)
		if n := f.metric(t, "in_flight"); n != 3 {
			t.Errorf("%v listeners at once afterwards, want 3", n)
		}
		close(g.gate)
		synctest.Wait()
		f.wantBus(t, 10, 0)
		stopped(t, stop)
	})
}

func TestRunKeepsListenersAndMarketsOfOneNameApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		f := newFixture(g.shelf())
		stop := f.start(t)
		market := trigger.Trigger{Market: "SE", Due: due("", 0, "trending").Due, Top: []trigger.TrackCount{{Track: "mozart.k525", Plays: 1}}}
		f.bus.publish(due("SE", 0, "gated"), market.WithID())
		synctest.Wait()
		f.wantBus(t, 1, 1) // the market does not wait for the listener
		close(g.gate)
		synctest.Wait()
		f.wantBus(t, 2, 0)
		stopped(t, stop)
	})
}

func TestRunWaitsForTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.bus.pullErrors = 5
		f.bus.publish(due("ann", 0, "recently_played"))
		stop := f.start(t)
		elapse(time.Minute)
		f.wantBus(t, 1, 0)
		if n := f.metric(t, "bus_errors_total"); n != 5 {
			t.Errorf("bus errors: %v, want 5", n)
		}
		stopped(t, stop)
	})
}

func TestRunKeepsLeasesWhileTriggersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(filling("slow", func(ctx context.Context, _ *shelf.Request) ([]shelf.Card, error) {
			select {
			case <-time.After(900 * time.Millisecond):
				return oneCard, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}))
		f.cfg.Concurrency = 1
		stop := f.start(t)
		for i := range 100 { // the last waits for three leases
			f.bus.publish(due(fmt.Sprintf("user%d", i), 0, "slow"))
		}
		elapse(2 * time.Minute)
		f.wantBus(t, 100, 0)
		for _, m := range f.bus.messages {
			if m.attempts != 1 {
				t.Fatalf("a trigger was delivered %d times, want once", m.attempts)
			}
		}
		stopped(t, stop)
	})
}

func TestRunDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		f := newFixture(g.shelf())
		f.cfg.Concurrency = 2
		stop := f.start(t)
		for i := range 5 {
			f.bus.publish(due(fmt.Sprintf("user%d", i), 0, "gated"))
		}
		synctest.Wait()
		time.AfterFunc(9*time.Second, func() { close(g.gate) })
		stopped(t, stop)
		f.wantBus(t, 2, 3)
		if n := f.metric(t, "held"); n != 0 {
			t.Errorf("held: %v, want 0", n)
		}
	})
}

func TestRunCutsOffWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		f := newFixture(g.shelf())
		stop := f.start(t)
		f.bus.publish(due("ann", 0, "gated"), due("bob", 0, "gated"))
		synctest.Wait()
		start := time.Now()
		if err := stop(); err == nil || !strings.Contains(err.Error(), "2 rows were cut off") {
			t.Errorf("Run: %v, want an error that says how many were cut off", err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want DrainTimeout", took)
		}
		if f.bus.nacked != 0 {
			t.Error("what was cut off counts as failed, want it left to its lease")
		}
		f.wantBus(t, 0, 2)
	})
}

// TestRunAfterAKillBetweenWriteAndAck has the next process write the same bytes again.
func TestRunAfterAKillBetweenWriteAndAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.bus.onAck = func() error { return errAway } // the process never gets as far as this
		stop := f.start(t)
		f.bus.publish(due("ann", 0, "recently_played", "heavy_rotation"))
		synctest.Wait()
		f.wantBus(t, 0, 1)
		stopped(t, stop)
		before, err := f.store.Read(t.Context(), userKey(t, "ann"), 3)
		if err != nil || len(before.Cells) != 2 {
			t.Fatalf("before: %v, %d cells", err, len(before.Cells))
		}
		f.bus.onAck, f.cfg.Registerer = nil, nil
		stop = f.start(t)
		elapse(lease + time.Second)
		f.wantBus(t, 1, 0)
		after, err := f.store.Read(t.Context(), userKey(t, "ann"), 3)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("error %v, row (-before +after):\n%s", err, diff)
		}
		if f.store.writeCount() != 2 {
			t.Errorf("%d writes, want 2", f.store.writeCount())
		}
		stopped(t, stop)
	})
}
