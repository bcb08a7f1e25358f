package beamgraph_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/prismjob"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

const patience = 3 * time.Minute

var testRead = beamgraph.ReadOptions{Pause: 20 * time.Millisecond, HistoryPause: 300 * time.Millisecond}

// stream runs the whole graph over c until stop is called, and checks that it ends by that and nothing else.
func stream(ctx context.Context, t testing.TB, name string, c *beamgraph.Connections) (stop func()) {
	t.Helper()
	withdraw, err := beamgraph.Provide(name, c)
	if err != nil {
		t.Fatal(err)
	}
	server, err := prismjob.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	config := beamgraph.Config{Endpoints: beamgraph.Endpoints{Job: name}, Rules: testRules(t), Recent: c.Recent != nil,
		Buckets: 4, Trends: testTrends, Read: testRead}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, prismjob.Job{Name: name, Experiments: beamgraph.Experiments, Build: func(s beam.Scope) {
			beamgraph.Stream(s, config)
		}})
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the job ended with %v, want it cancelled", err)
		}
		withdraw()
	}
}

func (w *world) outcome(t testing.TB) pipelinetest.Outcome {
	t.Helper()
	listeners, markets, err := w.publisher.Triggers()
	if err != nil {
		t.Fatal(err)
	}
	return pipelinetest.Outcome{Triggers: listeners, Trends: markets}
}

// trending waits until the markets' rows are those of the reference.
func (w *world) trending(ctx context.Context, t testing.TB, want pipelinetest.Outcome) {
	t.Helper()
	var diff string
	defer func() {
		if t.Failed() && diff != "" {
			t.Logf("trending rows (-want +got):\n%.2000s", diff)
		}
	}()
	until(ctx, t, "the trending rows", func() bool {
		diff = cmp.Diff(pipelinetest.Rows(want.Trends), pipelinetest.Rows(w.outcome(t).Trends))
		return diff == ""
	})
}

// A log in order makes exactly the triggers of the policy alone.
func TestInOrder(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := &world{most: 400}
	if err := w.log.Append(madeUp(1, 3000, 60, 3)...); err != nil {
		t.Fatal(err)
	}
	stop := stream(ctx, t, t.Name(), w.connections(t, false))
	w.served(ctx, t)
	want := w.reference(t)
	w.trending(ctx, t, want)
	stop()

	got := w.outcome(t).Triggers
	pipelinetest.Sort(got)
	if diff := cmp.Diff(want.Triggers, got); diff != "" {
		t.Errorf("triggers differ from the policy's own (-want +got):\n%.3000s", diff)
	}
	if w.recorder.Len() != len(want.Events) {
		t.Errorf("%d events recorded, want %d", w.recorder.Len(), len(want.Events))
	}
}

// Each event one to five times, shuffled within ten minutes, ends in the same rows.
func TestShuffledAndRepeated(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ordered, w := &world{}, &world{most: 700}
	events := madeUp(2, 1200, 40, 1)
	if err := ordered.log.Append(events...); err != nil {
		t.Fatal(err)
	}
	if err := w.log.Append(disturbed(events, 10*time.Minute)...); err != nil {
		t.Fatal(err)
	}
	stop := stream(ctx, t, t.Name(), w.connections(t, true))
	w.served(ctx, t)
	want := ordered.reference(t)
	w.trending(ctx, t, want)
	stop()

	if diff := cmp.Diff(pipelinetest.Rows(want.Triggers), pipelinetest.Rows(w.outcome(t).Triggers)); diff != "" {
		t.Errorf("rows differ from those of the events in order (-want +got):\n%.3000s", diff)
	}
}

// A history that is sent in batches, with the log empty in between, makes the triggers of one that waits whole.
func TestHistorySentInBatches(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := &world{}
	conns := w.connections(t, false)
	begun, later := time.Now(), atomic.Int64{} // a clock that stands still until the history is there
	conns.Now = func() time.Time { return begun.Add(time.Duration(later.Load())) }
	stop := stream(ctx, t, t.Name(), conns)
	for batch := range slices.Chunk(madeUp(5, 400, 20, 0.5), 100) {
		if err := w.log.Append(batch...); err != nil {
			t.Fatal(err)
		}
		want := len(w.log.Entries())
		until(ctx, t, "the batch to be read and the log to be empty for a while", func() bool {
			return w.recorder.Len() == want && w.idle.Load() > 3
		})
	}
	later.Store(int64(time.Minute))
	w.served(ctx, t)
	want := w.reference(t)
	stop()
	got := w.outcome(t).Triggers
	pipelinetest.Sort(got)
	if diff := cmp.Diff(want.Triggers, got); diff != "" {
		t.Errorf("triggers differ from the policy's own (-want +got):\n%.3000s", diff)
	}
}

// disturbed repeats each event up to five times and moves each by up to within.
func disturbed(events []event.Event, within time.Duration) []event.Event {
	type arrival struct {
		event.Event
		at time.Time
	}
	r := rand.New(rand.NewPCG(7, 7))
	var arrivals []arrival
	for _, e := range events {
		for range 1 + r.IntN(5) {
			arrivals = append(arrivals, arrival{e, e.Time.Add(time.Duration(r.Int64N(int64(within))))})
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	out := make([]event.Event, len(arrivals))
	for i, a := range arrivals {
		out[i] = a.Event
	}
	return out
}

// What can't be decoded, and what the service refuses for good, becomes a dead letter; everything else goes on.
func TestDeadLetters(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := &world{}
	events := madeUp(3, 300, 20, 5)
	for i, e := range events {
		if err := w.log.Append(e); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			w.log.AppendRaw(event.Played.Topic(), bus.Message{Time: e.Time, Data: []byte{0xff, byte(i)}})
		}
	}
	w.recorder.Fail = func(events []event.Event) error {
		if i := slices.IndexFunc(events, func(e event.Event) bool { return e.ID == "e000100" }); i >= 0 {
			return &pipelinetest.Refused{Index: i}
		}
		return nil
	}
	stop := stream(ctx, t, t.Name(), w.connections(t, false))
	w.served(ctx, t)
	stop()

	if got := len(w.publisher.On(event.DeadLetterTopic)); got != 7 {
		t.Errorf("%d dead letters, want 6 that are no events and 1 that was refused", got)
	}
	if w.recorder.Len() != 299 {
		t.Errorf("%d events recorded, want 299", w.recorder.Len())
	}
	if lost := pipelinetest.Uncovered(slices.DeleteFunc(events, func(e event.Event) bool { return e.ID == "e000100" }),
		w.outcome(t).Triggers, covering); len(lost) > 0 {
		t.Errorf("%d good events are in no trigger, among them %v", len(lost), lost[0])
	}
}

var covering = map[event.Kind][]string{
	event.Played: {"quick", "slow"}, event.Hearted: {"hearts"}, event.Followed: {"hearts"},
}

// A job that fails, and the state in memory with it, begins again at the floor and loses nothing.
func TestFailedJobLosesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := &world{most: 200}
	if err := w.log.Append(madeUp(4, 2000, 50, 5)...); err != nil {
		t.Fatal(err)
	}
	failing := []int32{3, 7, 5} // at which call of each run the stage panics; the fourth run does not
	var run, calls atomic.Int32
	w.recorder.Fail = func([]event.Event) error {
		if r := int(run.Load()); r <= len(failing) && calls.Add(1) == failing[r-1] {
			panic("a bug in a stage")
		}
		return nil
	}
	for range len(failing) + 1 {
		run.Add(1)
		calls.Store(0)
		runUntilServed(ctx, t, w)
	}
	if last := uint64(len(w.log.Entries())); w.log.Floor() != last {
		t.Fatalf("after the last run the floor is %d, want %d", w.log.Floor(), last)
	}
	want := w.reference(t)
	if lost := pipelinetest.Uncovered(want.Events, w.outcome(t).Triggers, covering); len(lost) > 0 {
		t.Errorf("%d events are in no trigger, among them %v", len(lost), lost[0])
	}
	if w.recorder.Len() != len(want.Events) {
		t.Errorf("%d events recorded, want %d", w.recorder.Len(), len(want.Events))
	}
}

// runUntilServed runs one job until it fails or everything is served.
func runUntilServed(ctx context.Context, t *testing.T, w *world) {
	t.Helper()
	name := t.Name()
	withdraw, err := beamgraph.Provide(name, w.connections(t, false))
	if err != nil {
		t.Fatal(err)
	}
	defer withdraw()
	server, err := prismjob.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, prismjob.Job{Name: name, Experiments: beamgraph.Experiments, Build: func(s beam.Scope) {
			beamgraph.Stream(s, beamgraph.Config{Endpoints: beamgraph.Endpoints{Job: name}, Rules: testRules(t),
				Trends: testTrends, Read: testRead})
		}})
	}()
	last := uint64(len(w.log.Entries()))
	until(ctx, t, "the job to fail or to finish", func() bool {
		select {
		case err = <-ended:
			ended <- err
			return true
		default:
			return w.log.Floor() == last
		}
	})
	cancel()
	if err := <-ended; err == nil {
		t.Error("the job ended without an error")
	}
}
