package beamgraph_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
	"homefeed/shelves/shelf"
)

// world is everything around the graph, in memory.
type world struct {
	log       pipelinetest.Log
	publisher pipelinetest.Publisher
	recorder  pipelinetest.Recorder
	most      int          // messages a pull; 0: as many as asked for
	idle      atomic.Int32 // pulls since the last one that brought something
}

// connections begin at the log's floor, as those of a process that starts again do. trends are read from another
// log with the same entries if recent is true.
func (w *world) connections(t testing.TB, recent bool) *beamgraph.Connections {
	t.Helper()
	limits := source.Limits{FloorEvery: time.Nanosecond}
	c := &beamgraph.Connections{
		Source:   &slow{source.NewLog(w.log.Open(), limits, time.Now), w},
		Recorder: &w.recorder, Publisher: &w.publisher, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if recent {
		again := &pipelinetest.Log{}
		for _, e := range w.log.Entries() {
			again.AppendRaw(e.Topic, e.Message)
		}
		windows := testTrends.WithDefaults()
		c.Recent = source.NewRecent(again.Open(), windows.Length+windows.Lateness, limits, time.Now)
	}
	return c
}

// slow hands out small batches, and counts the empty ones.
type slow struct {
	beamgraph.Source
	world *world
}

func (s *slow) Pull(ctx context.Context, most int) (source.Batch, error) {
	if s.world.most > 0 {
		most = min(most, s.world.most)
	}
	b, err := s.Source.Pull(ctx, most)
	if len(b.Messages) > 0 {
		s.world.idle.Store(0)
	} else {
		s.world.idle.Add(1)
	}
	return b, err
}

// until waits for a condition of the world.
func until(ctx context.Context, t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, context.Cause(ctx))
		}
	}
}

// served waits until every event is acknowledged.
func (w *world) served(ctx context.Context, t testing.TB) {
	t.Helper()
	last := uint64(len(w.log.Entries()))
	until(ctx, t, fmt.Sprintf("the floor to be %d", last), func() bool { return w.log.Floor() == last })
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

func fill(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

var (
	testShelves = []*shelf.Shelf{
		{Name: "quick", Doc: "d", Fill: fill, Guard: shelf.Guard{Freshness: 2 * time.Second}},
		{Name: "slow", Doc: "d", Fill: fill, Guard: shelf.Guard{Freshness: 30 * time.Second}},
		{Name: "hearts", Doc: "d", Fill: fill, On: []shelf.Signal{{Kind: shelf.Hearted}, {Kind: shelf.Followed}}},
		{Name: "burst", Doc: "d", Fill: fill, On: []shelf.Signal{{Kind: shelf.Played, AtLeast: 3, Within: time.Minute}}},
	}
	testPolicy = refreshpolicy.Config{Cooldown: time.Second}
	testTrends = trends.Config{Length: 10 * time.Minute, Lateness: 30 * time.Minute, Top: 5}
)

func testRules(t testing.TB) beamgraph.Rules {
	t.Helper()
	rules, err := beamgraph.RulesOf(testShelves, testPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// reference is what any driver makes of the world's log.
func (w *world) reference(t testing.TB) pipelinetest.Outcome {
	t.Helper()
	policy, err := refreshpolicy.New(testShelves, testPolicy)
	if err != nil {
		t.Fatal(err)
	}
	windows := testTrends.WithDefaults()
	now := time.Now()
	return pipelinetest.Reference(w.log.Entries(), policy, &windows, now, now)
}
