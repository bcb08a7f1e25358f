package main

import (
	"bufio"
	"context"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/bigtable"

	"homefeed/cmd/dev/madeup"
	"homefeed/deploy/child"
	"homefeed/deploy/emulator"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/gcppubsub"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/bigtabletable"
	"homefeed/services/songsplayed/songsplayedpb"
	bigtablestore "homefeed/shelves/store/bigtable"
)

const (
	project  = "homefeed-test"
	instance = "homefeed"
	// lease is Pub/Sub's shortest: what a killed process held comes again after it.
	lease = gcppubsub.MinLease
	// drain is how long Kubernetes gives a process to end (terminationGracePeriodSeconds).
	drain = 40 * time.Second
)

// production is the processes, and what listeners have done.
type production struct {
	programs  string // directory of homefeed and pipeline
	args      map[string][]string
	env       []string
	addr      map[string]string // what each process serves on
	admin     map[string]string // and shows health and metrics on
	processes map[string]*child.Process

	issuer      *issuer
	songsPlayed songsplayedpb.SongsPlayedClient
	deadLetters map[string]bus.Subscription // by topic
	triggers    bus.Subscription

	decided map[string][]stretch     // by listener: which plays are in triggers
	before  map[string][]event.Event // by listener: what had been posted before the last post
	events  map[string][]event.Event // by listener: what has been posted
}

// newProduction makes everything that the processes need, and starts none of them.
func newProduction(t *testing.T, world *madeup.World) *production {
	t.Helper()
	p := &production{
		env: []string{"PUBSUB_EMULATOR_HOST=" + emulator.PubSub(t), "BIGTABLE_EMULATOR_HOST=" + emulator.Bigtable(t)},

		addr: map[string]string{}, admin: map[string]string{}, processes: map[string]*child.Process{},
		before: map[string][]event.Event{}, events: map[string][]event.Event{}, decided: map[string][]stretch{},
		issuer: newIssuer(t),
	}
	p.programs = build(t)
	p.makeTopology(t)
	p.makeTables(t)
	catalogue, model := p.makeFiles(t, world)

	addrs, err := child.FreeAddrs(10)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"api", "songsplayed", "word2vec", "catalog"} {
		p.addr[name] = addrs[i]
	}
	for i, name := range []string{"api", "songsplayed", "word2vec", "catalog", "refresh", "pipeline"} {
		p.admin[name] = addrs[4+i]
	}
	cloud := []string{"-project=" + project, "-instance=" + instance}
	p.args = map[string][]string{
		"catalog":     {"-file=" + catalogue, "-listen=" + p.addr["catalog"]},
		"word2vec":    {"-model=" + model, "-listen=" + p.addr["word2vec"]},
		"songsplayed": append([]string{"-listen=" + p.addr["songsplayed"], "-catalog=" + p.addr["catalog"]}, cloud...),
		"refresh": append([]string{"-songsplayed=" + p.addr["songsplayed"], "-word2vec=" + p.addr["word2vec"],
			"-catalog=" + p.addr["catalog"], "-lease=" + lease.String()}, cloud...),
		"api": append([]string{"-listen=" + p.addr["api"], "-oidc-issuer=" + p.issuer.url, "-oidc-audience=" + audience}, cloud...),
		"pipeline": {"-runner=prism", "-bus=pubsub://" + project, "-songsplayed=" + p.addr["songsplayed"],
			"-lease=" + lease.String()},
	}
	conn, err := rpc.Dial(p.addr["songsplayed"], rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p.songsPlayed = songsplayedpb.NewSongsPlayedClient(conn)
	return p
}

// build is the directory of the two programs, without the race detector: for Beam that takes minutes.
func build(t *testing.T) string {
	t.Helper()
	began := time.Now()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "homefeed/cmd/homefeed", "homefeed/cmd/pipeline")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	t.Logf("built in %v", time.Since(began).Round(time.Second))
	return dir
}

// emulated has clients in this process find the emulators, too.
func (p *production) emulated(t *testing.T) {
	t.Helper()
	for _, e := range p.env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// makeTopology makes the topics and subscriptions that Terraform makes in production.
func (p *production) makeTopology(t *testing.T) {
	t.Helper()
	p.emulated(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := gcppubsub.New(ctx, gcppubsub.Options{Project: project})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	topics := append(event.Topics(), event.FeedbackTopic, event.DeadLetterTopic, trigger.Topic, trigger.DeadLetterTopic)
	subscriptions := []gcppubsub.SubscriptionConfig{
		{Name: "refresh", Topic: trigger.Topic, Lease: lease, DeadLetterTopic: trigger.DeadLetterTopic, MaxAttempts: 20},
		{Name: "watch", Topic: trigger.Topic},
	}
	if p.triggers, err = b.Subscribe("watch", gcppubsub.SubscriptionOptions{Topic: trigger.Topic}); err != nil {
		t.Fatal(err)
	}
	for _, topic := range event.Topics() {
		subscriptions = append(subscriptions, gcppubsub.SubscriptionConfig{Name: "pipeline-" + topic, Topic: topic, Lease: lease})
	}
	p.deadLetters = map[string]bus.Subscription{}
	for _, topic := range []string{event.DeadLetterTopic, trigger.DeadLetterTopic} {
		subscriptions = append(subscriptions, gcppubsub.SubscriptionConfig{Name: topic, Topic: topic})
		if p.deadLetters[topic], err = b.Subscribe(topic, gcppubsub.SubscriptionOptions{Topic: topic}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.EnsureTopology(ctx, topics, subscriptions...); err != nil {
		t.Fatal(err)
	}
}

func (p *production) makeTables(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bigtablestore.EnsureTable(ctx, bigtablestore.Config{Project: project, Instance: instance}); err != nil {
		t.Fatal(err)
	}
	admin, err := bigtable.NewAdminClient(ctx, project, instance)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := bigtabletable.Create(ctx, admin); err != nil {
		t.Fatal(err)
	}
}

// makeFiles writes the catalogue, and has the vectors trained.
func (p *production) makeFiles(t *testing.T, world *madeup.World) (catalogue, model string) {
	t.Helper()
	dir := t.TempDir()
	catalogue, model = filepath.Join(dir, "catalog.tsv"), filepath.Join(dir, "word2vec.bin")
	playlists := filepath.Join(dir, "playlists.txt")
	for path, write := range map[string]func(f *os.File) error{
		catalogue: func(f *os.File) error { return world.WriteCatalog(f) },
		playlists: func(f *os.File) error { return world.WritePlaylists(f) },
	} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	train := exec.CommandContext(t.Context(), filepath.Join(p.programs, "homefeed"), "train",
		"-in="+playlists, "-out="+model, "-dim=16", "-epochs=5")
	if out, err := train.CombinedOutput(); err != nil {
		t.Fatalf("training: %v\n%s", err, out)
	}
	return catalogue, model
}

// listeners are those who have posted, in order.
func (p *production) listeners() []string { return slices.Sorted(maps.Keys(p.events)) }

// startAll starts the processes in no order of theirs: each waits for those it needs.
func (p *production) startAll(t *testing.T) {
	t.Helper()
	for name := range p.args {
		p.start(t, name)
	}
	for name := range p.args {
		p.awaitReady(t, name)
	}
}

func (p *production) start(t *testing.T, name string) {
	t.Helper()
	program, args := filepath.Join(p.programs, "homefeed"), []string{name}
	if name == "pipeline" {
		program, args = filepath.Join(p.programs, "pipeline"), nil
	}
	args = append(append(args, p.args[name]...), "-admin="+p.admin[name])
	process := child.Start(t, name, p.env, program, args...)
	p.processes[name] = process
	t.Cleanup(func() { // before it is killed
		select {
		case <-process.Done():
		default:
			if t.Failed() {
				p.tellCounts(t, name)
			}
		}
	})
}

// tellCounts says what a process has counted, for who wonders where something is.
func (p *production) tellCounts(t *testing.T, name string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second} // it may be what hangs
	resp, err := client.Get("http://" + p.admin[name] + "/metrics")
	if err != nil {
		t.Logf("%s does not say what it has counted: %v", name, err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "homefeed_") && !strings.HasSuffix(line, " 0") && !strings.Contains(line, "_bucket{") {
			t.Logf("%s: %s", name, line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Logf("%s: %v", name, err)
	}
}

func (p *production) awaitReady(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.processes[name].Ready(ctx, "http://"+p.admin[name]+"/readyz"); err != nil {
		t.Fatalf("%s does not become ready: %v", name, err)
	}
}

// stopAll asks all processes to end at once, in no order of theirs either, and holds that each does so in time with
// exit code 0.
func (p *production) stopAll(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for name, process := range p.processes {
		wg.Go(func() {
			began := time.Now()
			if err := process.Terminate(drain); err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			t.Logf("%s ended in %v", name, time.Since(began).Round(time.Millisecond))
		})
	}
	wg.Wait()
}

// await looks until there is no error any more. What it reports is the last one that time has no part in.
func await(t *testing.T, what string, look func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := look(ctx)
		if err == nil {
			return
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v until %s: %v", patience, what, last)
		}
	}
}
