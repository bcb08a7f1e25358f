package beamgraph_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	gocmp "github.com/google/go-cmp/cmp"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/prismjob"
	"homefeed/pipeline/trigger"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

// stream runs the whole graph over c until the test ends.
func stream(ctx context.Context, t testing.TB, c *beamgraph.Connections, recent bool) {
	t.Helper()
	withdraw, err := beamgraph.Provide(t.Name(), c)
	if err != nil {
		t.Fatal(err)
	}
	server, err := prismjob.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	config := beamgraph.Config{Endpoints: beamgraph.Endpoints{Job: t.Name()}, Rules: testRules(t), Recent: recent,
		Read: beamgraph.ReadOptions{Pause: 20 * time.Millisecond}}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, prismjob.Job{Name: t.Name(), Experiments: beamgraph.Experiments, Build: func(s beam.Scope) {
			beamgraph.Stream(s, config)
		}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the job ended with %v, want it cancelled", err)
		}
		withdraw()
	})
}

func byIdentity(a, b trigger.Trigger) int {
	return cmp.Or(cmp.Compare(a.Key(), b.Key()), a.FireTime.Compare(b.FireTime), cmp.Compare(a.ID, b.ID))
}

func TestTriggersOfAnOrderedLogAreTheReference(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	events := madeUp(1, 3000, 60, 20)
	m := newMemory(messagesOf(t, events))
	m.most = 400
	stream(ctx, t, m.connections(t), false)
	m.until(ctx, t, "every event to be acknowledged", func() bool { return m.ackedCount() == len(events) })

	got, want := triggersOf(t, m.on(trigger.Topic), false), reference(t, events)
	slices.SortFunc(got, byIdentity)
	slices.SortFunc(want, byIdentity)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("triggers differ from the policy's own (-want +got):\n%.3000s", diff)
	}
	if len(m.recorded) != len(events) {
		t.Errorf("%d events recorded, want %d", len(m.recorded), len(events))
	}
}
