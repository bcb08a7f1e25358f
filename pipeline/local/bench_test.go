//go:build unix

package local_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	buslocal "homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/local"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
)

// cpu is what the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// plays makes n plays by 5,000 listeners of 5,000 tracks, encoded, number first first.
func plays(b *testing.B, rng *rand.Rand, first, n int, at func(i int) time.Time) []bus.Message {
	out := make([]bus.Message, n)
	for i := range out {
		e := event.Event{
			ID: fmt.Sprintf("event-%08d", first+i), Kind: event.Played, User: fmt.Sprint("listener-", rng.IntN(5000)),
			Object: fmt.Sprint("track-", rng.IntN(5000)), Market: []string{"GB", "SE", "DE"}[rng.IntN(3)],
			Time: at(i).Truncate(time.Millisecond),
		}
		data, err := event.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		out[i] = bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: data}
	}
	return out
}

// nowhere takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Publish(context.Context, string, ...bus.Message) error { return nil }

func (nowhere) Record(context.Context, []event.Event) error { return nil }

// counting closes all when the events are recorded.
type counting struct {
	pipeline.Recorder
	left atomic.Int64
	all  chan struct{}
}

func (c *counting) Record(ctx context.Context, events []event.Event) error {
	if err := c.Recorder.Record(ctx, events); err != nil {
		return err
	}
	if c.left.Add(-int64(len(events))) == 0 {
		close(c.all)
	}
	return nil
}

// drive runs a driver until n events are recorded, and then stops it, which decides them all and keeps a checkpoint.
func drive(b *testing.B, log bus.Log, p bus.Publisher, r pipeline.Recorder, n int) {
	recorder := &counting{Recorder: r, all: make(chan struct{})}
	recorder.left.Store(int64(n))
	stop := start(b, local.Config{
		Log: log, Publisher: p, Recorder: recorder, Policy: newPolicy(b), Trends: &trends.Config{}, Dir: b.TempDir(),
	})
	<-recorder.all
	if err := stop(); err != nil {
		b.Fatal(err)
	}
}

func perEvent(b *testing.B, n int, used time.Duration) {
	events := float64(b.N) * float64(n)
	b.ReportMetric(float64(used.Nanoseconds())/events, "cpu-ns/event")
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkDriver is what the driver itself costs an event: decode, shards, policy, trends and checkpoints, with a
// log in memory and nothing behind it.
func BenchmarkDriver(b *testing.B) {
	const n = 300_000
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		log := &pipelinetest.Log{}
		began := time.Now().Add(-n * 20 * time.Microsecond) // 50,000 a second
		log.AppendRaw(event.Played.Topic(), plays(b, rand.New(rand.NewPCG(1, 1)), 0, n, func(i int) time.Time {
			return began.Add(time.Duration(i) * 20 * time.Microsecond)
		})...)
		runtime.GC()
		b.StartTimer()
		before := cpu(b)
		drive(b, log.Open(), nowhere{}, nowhere{}, n)
		used += cpu(b) - before
	}
	perEvent(b, n, used)
}

// BenchmarkIntakeToDecided is the whole way on one machine, as fast as it goes: encoded and published to JetStream on disk, read, recorded through
// gRPC in Pebble, decided, and the triggers published.
func BenchmarkIntakeToDecided(b *testing.B) {
	const n = 300_000
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		ctx := b.Context()
		buses, err := buslocal.Open(ctx, buslocal.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		log, err := buses.OpenLog(ctx, "pipeline", event.Topics())
		if err != nil {
			b.Fatal(err)
		}
		client, closeService := songsPlayed(b)
		runtime.GC()
		b.StartTimer()
		before := cpu(b)
		published := make(chan error, 1)
		go func() {
			rng := rand.New(rand.NewPCG(1, 1))
			for sent := 0; sent < n; sent += 1000 {
				now := time.Now()
				messages := plays(b, rng, sent, 1000, func(int) time.Time { return now })
				if err := buses.Publish(ctx, event.Played.Topic(), messages...); err != nil {
					published <- err
					return
				}
			}
			published <- nil
		}()
		drive(b, log, buses, client, n)
		if err := <-published; err != nil {
			b.Fatal(err)
		}
		used += cpu(b) - before
		b.StopTimer()
		for _, closing := range []func() error{log.Close, buses.Close, closeService} {
			if err := closing(); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
	perEvent(b, n, used)
}

// timely keeps how late triggers are published.
type timely struct {
	bus.Publisher
	mu   sync.Mutex
	late []time.Duration
}

func (p *timely) Publish(ctx context.Context, topic string, messages ...bus.Message) error {
	err := p.Publisher.Publish(ctx, topic, messages...)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		if topic == trigger.Topic {
			p.late = append(p.late, now.Sub(m.Time))
		}
	}
	return err
}

// BenchmarkLive is ten seconds of 500 events a second on the real bus and service: how long after its due time a
// trigger is published, and what share of a core all of it takes, with encoding and publishing the events. Then ten
// seconds of nothing.
func BenchmarkLive(b *testing.B) {
	ctx := b.Context()
	for b.Loop() {
		buses, err := buslocal.Open(ctx, buslocal.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		log, err := buses.OpenLog(ctx, "pipeline", event.Topics())
		if err != nil {
			b.Fatal(err)
		}
		client, closeService := songsPlayed(b)
		publisher := &timely{Publisher: buses}
		stop := start(b, local.Config{
			Log: log, Publisher: publisher, Recorder: client, Policy: newPolicy(b), Trends: &trends.Config{}, Dir: b.TempDir(),
		})
		rng := rand.New(rand.NewPCG(1, 1))
		before := cpu(b)
		tick := time.NewTicker(2 * time.Millisecond)
		for i := range 5000 {
			<-tick.C
			if err := buses.Publish(ctx, event.Played.Topic(), plays(b, rng, i, 1, func(int) time.Time { return time.Now() })...); err != nil {
				b.Fatal(err)
			}
		}
		tick.Stop()
		b.ReportMetric((cpu(b)-before).Seconds()/10*100, "%core-busy")
		<-time.After(2 * time.Minute) // until all timers of a minute are past
		before = cpu(b)
		<-time.After(10 * time.Second)
		b.ReportMetric((cpu(b)-before).Seconds()/10*100, "%core-idle")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		slices.Sort(publisher.late)
		n := len(publisher.late)
		b.ReportMetric(float64(n), "triggers")
		b.ReportMetric(float64(publisher.late[n/2].Microseconds())/1000, "p50-ms-late")
		b.ReportMetric(float64(publisher.late[n*99/100].Microseconds())/1000, "p99-ms-late")
		for _, closing := range []func() error{log.Close, buses.Close, closeService} {
			if err := closing(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func songsPlayed(b *testing.B) (*songsplayed.Client, func() error) {
	table, err := localtable.Open(b.TempDir(), localtable.Options{})
	if err != nil {
		b.Fatal(err)
	}
	service, err := songsplayed.NewServer(songsplayed.Options{Table: table})
	if err != nil {
		b.Fatal(err)
	}
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	songsplayed.Register(server, service)
	conn, err := rpc.Direct(server, rpc.DialOptions{}) // as cmd/dev does
	if err != nil {
		b.Fatal(err)
	}
	return songsplayed.NewClient(conn), table.Close
}
