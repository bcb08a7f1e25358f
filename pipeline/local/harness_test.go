package local_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/local"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
	"homefeed/shelves/shelf"
)

func noCards(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

// testShelves are like the real ones; the last waits for several plays.
var testShelves = []*shelf.Shelf{
	{Name: "recent", Doc: "Test.", Guard: shelf.Guard{Freshness: 2 * time.Second}, Fill: noCards},
	{Name: "rotation", Doc: "Test.", Guard: shelf.Guard{Freshness: 10 * time.Second}, Fill: noCards},
	{Name: "slow", Doc: "Test.", Guard: shelf.Guard{Freshness: time.Minute}, Fill: noCards},
	{Name: "hearted", Doc: "Test.", On: []shelf.Signal{{Kind: shelf.Hearted}}, Guard: shelf.Guard{Freshness: 2 * time.Second}, Fill: noCards},
	{Name: "followed", Doc: "Test.", On: []shelf.Signal{{Kind: shelf.Followed}}, Guard: shelf.Guard{Freshness: 2 * time.Second}, Fill: noCards},
	{Name: "binge", Doc: "Test.", On: []shelf.Signal{{Kind: shelf.Played, AtLeast: 3, Within: 5 * time.Minute}},
		Guard: shelf.Guard{Freshness: 5 * time.Second}, Fill: noCards},
}

// staleBy is which of them one event of a kind makes stale.
var staleBy = map[event.Kind][]string{
	event.Played:   {"recent", "rotation", "slow"},
	event.Hearted:  {"hearted"},
	event.Followed: {"followed"},
}

func newPolicy(t testing.TB) *refreshpolicy.Policy {
	t.Helper()
	p, err := refreshpolicy.New(testShelves, refreshpolicy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The times of test events lie before those of any clock, that of a synctest bubble (2000-01-01) too.
var epoch = time.Date(1999, 12, 1, 12, 0, 0, 0, time.UTC)

// makeEvents makes n events in order of time, about gap apart, by some listeners.
func makeEvents(rng *rand.Rand, n, listeners int, gap time.Duration) []event.Event {
	events := make([]event.Event, n)
	at := epoch
	for i := range events {
		at = at.Add(time.Duration(rng.Int64N(int64(2*gap)/1e6+1)) * time.Millisecond)
		events[i] = event.Event{
			ID: fmt.Sprintf("e%06d", i), Kind: event.Played, User: fmt.Sprint("u", rng.IntN(listeners)),
			Object: fmt.Sprint("t", rng.IntN(40)), Time: at, Market: []string{"", "GB", "SE"}[rng.IntN(3)],
		}
		switch rng.IntN(10) {
		case 0:
			events[i].Kind = event.Hearted
		case 1:
			events[i].Kind = event.Followed
		}
	}
	return events
}

// world is what outlives a driver.
type world struct {
	log       *pipelinetest.Log
	publisher *pipelinetest.Publisher
	recorder  *pipelinetest.Recorder
	windows   trends.Config
	dir       string
}

func newWorld(t testing.TB) *world {
	return &world{log: &pipelinetest.Log{}, publisher: &pipelinetest.Publisher{}, recorder: &pipelinetest.Recorder{}, dir: t.TempDir()}
}

func (w *world) config(t testing.TB) local.Config {
	return local.Config{
		Log: w.log.Open(), Publisher: w.publisher, Recorder: w.recorder, Policy: newPolicy(t),
		Trends: &w.windows, Dir: w.dir, Shards: 3, MaxBatch: 50,
	}
}

// start runs a driver; stop ends it and returns its error.
func start(t testing.TB, cfg local.Config) (stop func() error) {
	t.Helper()
	d, err := local.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// settle lets the bubble's clock run until everything is served and the floor has moved.
func settle() { <-time.After(3 * time.Minute) }

var errAway = errors.New("away")

// shuffled is each event one to three times, at most within out of order.
func shuffled(rng *rand.Rand, events []event.Event, within time.Duration) []event.Event {
	type sent struct {
		event.Event
		at time.Time
	}
	var all []sent
	for _, e := range events {
		for range 1 + rng.IntN(3) {
			all = append(all, sent{e, e.Time.Add(time.Duration(rng.Int64N(int64(within))))})
		}
	}
	slices.SortFunc(all, func(a, b sent) int { return a.at.Compare(b.at) })
	out := make([]event.Event, len(all))
	for i := range all {
		out[i] = all[i].Event
	}
	return out
}
