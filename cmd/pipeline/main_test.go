package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"homefeed/deploy/child"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trigger"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/shelves"
	"homefeed/shelves/shelf"
)

var (
	kills  = flag.Int("kills", 2, "how often TestKill kills the program in each of its parts")
	seed   = flag.Uint64("seed", 11, "of the moments at which TestKill kills")
	golden = flag.Bool("golden", false, "write golden files anew") // -update is a flag of Beam's
)

// asProgram makes this test's binary behave as the program.
const asProgram = "HOMEFEED_TEST_RUN_PIPELINE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

const generous = 5 * time.Minute

// world is a bus and a songs-played service in this process, for the program in another.
type world struct {
	dir     string
	bus     *local.Bus
	plays   *plays
	service string // address
}

func newWorld(ctx context.Context, t testing.TB) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), plays: &plays{recorded: map[string]bool{}}}
	var err error
	if w.bus, err = local.Open(ctx, local.Options{Dir: w.dir, Listen: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	songsplayedpb.RegisterSongsPlayedServer(server, w.plays)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.service = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := w.bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// plays is a songs-played service that remembers what was recorded.
type plays struct {
	songsplayedpb.UnimplementedSongsPlayedServer
	mu       sync.Mutex
	recorded map[string]bool
}

func (p *plays) Record(_ context.Context, r *songsplayedpb.RecordRequest) (*songsplayedpb.RecordResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range r.GetActions() {
		p.recorded[fmt.Sprint(a.GetKind(), a.GetUser(), a.GetObject(), a.GetTimeMs())] = true
	}
	return &songsplayedpb.RecordResponse{}, nil
}

func (p *plays) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.recorded)
}

func (p *plays) has(e event.Event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recorded[fmt.Sprint(songsplayedpb.Kind(e.Kind), e.User, e.Object, e.Time.UnixMilli())]
}

// program starts the program on w.
func (w *world) program(t testing.TB, args ...string) (p *child.Process, admin string) {
	t.Helper()
	addrs, err := child.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"-runner", "prism", "-bus", "nats://" + w.bus.Addr(), "-bus-token", filepath.Join(w.dir, local.TokenFile),
		"-songsplayed", w.service, "-admin", addrs[0],
	}, args...)
	return child.Start(t, "pipeline", []string{asProgram + "=1"}, os.Args[0], args...), "http://" + addrs[0]
}

// publish publishes events in order.
func (w *world) publish(ctx context.Context, t testing.TB, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		data, err := event.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		m := bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: data}
		if err := w.bus.Publish(ctx, e.Kind.Topic(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// served reports whether the program is done for good with everything published.
func (w *world) served(ctx context.Context, t testing.TB) bool {
	t.Helper()
	l, err := w.bus.OpenLog(ctx, "pipeline", event.Topics())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	end, err := l.End(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l.Floor() == end
}

// until waits for a condition of the world.
func until(ctx context.Context, t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, context.Cause(ctx))
		}
	}
}

// triggers are all that were published.
func (w *world) triggers(ctx context.Context, t testing.TB) []trigger.Trigger {
	t.Helper()
	l, err := w.bus.OpenLogAt(ctx, []string{trigger.Topic}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out []trigger.Trigger
	for {
		waiting, err := l.Waiting(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			return out
		}
		entries, err := l.Read(ctx, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			tr, err := trigger.Decode(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, tr)
		}
	}
}

// check says which of the events were not recorded, or are in no trigger.
func (w *world) check(ctx context.Context, t testing.TB, events []event.Event) {
	t.Helper()
	unrecorded := 0
	for _, e := range events {
		if !w.plays.has(e) {
			unrecorded++
		}
	}
	if unrecorded > 0 {
		t.Errorf("%d of %d events were not recorded", unrecorded, len(events))
	}
	covering := map[event.Kind][]string{}
	for _, s := range shelves.All() {
		if s.Scope == shelf.Listener {
			for _, on := range s.Signals() {
				covering[event.Kind(on.Kind)] = append(covering[event.Kind(on.Kind)], s.Name)
			}
		}
	}
	var listeners []trigger.Trigger
	markets := 0
	for _, tr := range w.triggers(ctx, t) {
		if tr.User != "" {
			listeners = append(listeners, tr)
		} else {
			markets++
		}
	}
	if lost := pipelinetest.Uncovered(events, listeners, covering); len(lost) > 0 {
		t.Errorf("%d of %d events are in no trigger, among them %v", len(lost), len(events), lost[0])
	}
	t.Logf("%d events, %d triggers of listeners, %d of markets", len(events), len(listeners), markets)
}

// madeUp is a log of n events from begin on, rate a second.
func madeUp(seed uint64, prefix string, n, listeners int, begin time.Time, rate float64) []event.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	events := make([]event.Event, n)
	for i := range events {
		e := event.Event{
			ID: fmt.Sprintf("%s-%06d", prefix, i), Kind: event.Played, Market: []string{"DE", "SE", ""}[r.IntN(3)],
			Time: begin.Add(time.Duration(float64(i) / rate * float64(time.Second))).Truncate(time.Millisecond).UTC(),
			User: fmt.Sprintf("user%d", r.IntN(listeners)), Object: fmt.Sprintf("track%d", r.IntN(200)),
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

func get(ctx context.Context, t testing.TB, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// The program reads, shows how it is, ends in order at SIGTERM, and goes on behind what it has done.
func TestRunAndTerminate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	w := newWorld(ctx, t)
	events := madeUp(1, "a", 500, 40, time.Now().Add(-30*time.Minute), 50)
	w.publish(ctx, t, events...)
	for run := range 2 {
		p, admin := w.program(t)
		if err := p.Ready(ctx, admin+"/readyz"); err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
		until(ctx, t, "every event to be served", func() bool { return w.served(ctx, t) })
		// The windows of the second run hold what was played before the first one ended.
		until(ctx, t, "the world's trend to have every play", func() bool { return w.trend(ctx, t) == played(events) })
		metrics := get(ctx, t, admin+"/metrics")
		for _, want := range []string{"homefeed_pipeline_job_restarts_total 0", "homefeed_pipeline_beam_messages_read_total"} {
			if !strings.Contains(metrics, want) {
				t.Errorf("run %d: no %q in the metrics:\n%s", run, want, metrics)
			}
		}
		if err := p.Terminate(generous); err != nil {
			t.Errorf("run %d ended with %v:\n%s", run, err, p.Output())
		}
		more := madeUp(2, "b", 100, 40, time.Now().Add(-10*time.Minute), 50)
		if run == 0 {
			w.publish(ctx, t, more...)
			events = append(events, more...)
		}
	}
	w.check(ctx, t, events)
}

func played(events []event.Event) (n int64) {
	for _, e := range events {
		if e.Kind == event.Played {
			n++
		}
	}
	return n
}

// trend is how many plays the newest window of the world has.
func (w *world) trend(ctx context.Context, t testing.TB) int64 {
	t.Helper()
	var newest trigger.Due
	for _, tr := range w.triggers(ctx, t) {
		if tr.Market == trigger.World && !tr.Due[0].Last.Time.Before(newest.Last.Time) {
			newest = tr.Due[0]
		}
	}
	return newest.Count
}

// Killed at any moment, at a rate that it keeps up with and under more than it can do, it loses nothing.
func TestKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), generous+time.Duration(*kills)*time.Minute)
	defer cancel()
	r := rand.New(rand.NewPCG(*seed, 13))
	w := newWorld(ctx, t)
	p, admin := w.program(t)
	kill := func() {
		p.Kill()
		p, admin = w.program(t)
	}
	// At 500 a second the kills come at seeded moments of the feeding.
	const rate, stretch = 500, 3
	steady := madeUp(3, "steady", rate*stretch*(*kills), 300, time.Now().Add(-time.Hour), rate)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	due := map[int]bool{}
	for i := range *kills {
		due[(i*rate*stretch+r.IntN(rate*stretch))/10] = true
	}
	for i := 0; i*10 < len(steady); i++ {
		<-tick.C
		w.publish(ctx, t, steady[i*10:(i+1)*10]...)
		if due[i] {
			kill()
		}
	}
	until(ctx, t, "the steady events to be recorded", func() bool { return w.plays.count() == len(steady) })
	// Under overload everything lies there at once, and the kills come as the program works through it.
	const burst = 4000
	overload := madeUp(4, "burst", burst*(*kills), 1000, time.Now().Add(-30*time.Minute), 50)
	w.publish(ctx, t, overload...)
	for i := range *kills {
		at := len(steady) + i*burst + r.IntN(burst)
		until(ctx, t, fmt.Sprintf("%d events to be recorded", at), func() bool { return w.plays.count() >= at })
		kill()
	}
	if err := p.Ready(ctx, admin+"/readyz"); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "every event to be served", func() bool { return w.served(ctx, t) })
	if err := p.Terminate(generous); err != nil {
		t.Errorf("the program ended with %v:\n%s", err, p.Output())
	}
	w.check(ctx, t, append(steady, overload...))
}
