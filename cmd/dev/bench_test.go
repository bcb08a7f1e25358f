package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"

	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

// These run cmd/dev as a process and report what it took: go test ./cmd/dev -run '^$' -bench . -benchtime 1x
// The one who sends shares the machine with it.

// BenchmarkIntakeToDecided posts a million events of 5,000 listeners as fast as they are taken, and waits until all
// of them are recorded and decided.
func BenchmarkIntakeToDecided(b *testing.B) {
	const events, batch, senders = 1_000_000, 1000, 4
	for range b.N {
		b.StopTimer()
		dev := newInstance(b)
		bodies := makeBodies(events/batch, batch)
		before := dev.metrics(b)
		b.StartTimer()
		work := make(chan []byte)
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for body := range work {
					if err := dev.post(b.Context(), body); err != nil {
						b.Error(err)
					}
				}
			})
		}
		began := time.Now()
		for _, body := range bodies {
			work <- body
		}
		close(work)
		wg.Wait()
		taken := time.Since(began)
		eventually(b, 5*time.Minute, func() error {
			if n := dev.metrics(b).sum("homefeed_pipeline_events_decided_total"); n < events {
				return fmt.Errorf("%v of %d events decided", n, events)
			}
			return nil
		})
		took := time.Since(began)
		after := dev.metrics(b)
		b.ReportMetric(events/taken.Seconds(), "taken/s")
		b.ReportMetric(events/took.Seconds(), "events/s")
		b.ReportMetric((after.sum(cpuSeconds)-before.sum(cpuSeconds))*1e6/events, "cpu-µs/event")
		b.ReportMetric(after.sum(resident)/(1<<20), "MiB")
		b.ReportMetric(0, "ns/op")
		dev.stop()
	}
}

const (
	cpuSeconds = "process_cpu_seconds_total"
	resident   = "process_resident_memory_bytes"
	beyond     = "homefeed_refresh_beyond_freshness_seconds"
)

var (
	soaking = flag.Duration("soak", 2*time.Minute, "how long BenchmarkLive plays; want a minute or more")
	filling = flag.Int("fill", 0, "thousands of events that BenchmarkLive posts first, so that caches are full")
)

// BenchmarkLive plays 500 events a second of 5,000 listeners: how long after the freshness delay rows are there, what
// it costs, and, with -soak 10m -fill 300, whether memory stays flat. The first part of the time warms up: everybody comes at once
// there, and after the longest freshness delay three times as many refreshes are due for some seconds as ever after.
func BenchmarkLive(b *testing.B) {
	soak := *soaking
	warm := max(soak/5, 30*time.Second)
	for range b.N {
		dev := newInstance(b)
		l := newListening(5000)
		for _, body := range makeBodies(*filling, 1000) {
			if err := dev.post(b.Context(), body); err != nil {
				b.Fatal(err)
			}
		}
		tick := time.NewTicker(10 * time.Millisecond)
		began := time.Now()
		play := func(until time.Duration) reading {
			for time.Since(began) < until {
				<-tick.C
				if err := dev.post(b.Context(), l.body(5)); err != nil {
					b.Fatal(err)
				}
			}
			return dev.metrics(b)
		}
		early, half, late := play(warm), play((warm+soak)/2), play(soak)
		tick.Stop()
		b.ReportMetric(late.quantile(early, beyond, "recently_played", .5)*1e3, "p50-ms")
		b.ReportMetric(late.quantile(early, beyond, "recently_played", .99)*1e3, "p99-ms")
		b.ReportMetric(100*(late.sum(cpuSeconds)-early.sum(cpuSeconds))/(soak-warm).Seconds(), "%core")
		b.ReportMetric(early.sum(resident)/(1<<20), "MiB-early")
		b.ReportMetric(half.sum(resident)/(1<<20), "MiB-half")
		b.ReportMetric(late.sum(resident)/(1<<20), "MiB-late")
		b.ReportMetric(0, "ns/op")
		dev.stop()
	}
}

// BenchmarkIdle does nothing for half a minute.
func BenchmarkIdle(b *testing.B) {
	for range b.N {
		dev := newInstance(b)
		settle := time.NewTimer(20 * time.Second) // what starting leaves behind
		<-settle.C
		before := dev.metrics(b)
		<-time.NewTimer(30 * time.Second).C
		b.ReportMetric(100*(dev.metrics(b).sum(cpuSeconds)-before.sum(cpuSeconds))/30, "%core")
		b.ReportMetric(0, "ns/op")
		dev.stop()
	}
}

// BenchmarkHome asks for Homes that listening has filled, from eight connections, for ten seconds.
func BenchmarkHome(b *testing.B) {
	const connections, listeners = 8, 200
	for range b.N {
		dev := newInstance(b)
		l := newListening(listeners)
		for range 40 {
			if err := dev.post(b.Context(), l.body(500)); err != nil {
				b.Fatal(err)
			}
		}
		for i := range listeners {
			eventually(b, time.Minute, func() error {
				home, err := dev.home(b.Context(), l.user(i))
				if err == nil && len(home["discover"].GetCards()) == 0 {
					err = fmt.Errorf("Home of %s is not there yet", l.user(i))
				}
				return err
			})
		}
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		for c := range connections {
			wg.Go(func() {
				var mine []time.Duration
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					all = append(all, mine...)
				}()
				for i := c; ctx.Err() == nil; i++ {
					began := time.Now()
					if err := fetchHome(ctx, client, dev.url, l.user(i%listeners)); err != nil {
						if ctx.Err() == nil {
							b.Error(err)
						}
						return
					}
					mine = append(mine, time.Since(began))
				}
			})
		}
		wg.Wait()
		cancel()
		slices.Sort(all)
		b.ReportMetric(float64(len(all))/10, "homes/s")
		b.ReportMetric(all[len(all)/2].Seconds()*1e3, "p50-ms")
		b.ReportMetric(all[len(all)*99/100].Seconds()*1e3, "p99-ms")
		b.ReportMetric(0, "ns/op")
		dev.stop()
	}
}

// fetchHome reads a Home and leaves it encoded, so that the one who asks costs little.
func fetchHome(ctx context.Context, client *http.Client, url, user string) error {
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/home", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer dev-user:"+user)
	r.Header.Set("Accept", "application/x-protobuf")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("Home of %s: %s", user, answer.Status)
	}
	return nil
}

// listening makes events of n listeners up, now.
type listening struct {
	*players
	n int
}

func newListening(n int) *listening {
	l := &listening{newPlayers(1), n}
	l.users = make([]string, n)
	for i := range l.users {
		l.users[i] = l.user(i)
	}
	return l
}

func (l *listening) user(i int) string { return fmt.Sprintf("listener-%d", i) }

func (l *listening) body(n int) []byte {
	req := &eventpb.WriteEventsRequest{}
	for range n {
		e := l.next()
		e.Kind, e.Object = event.Played, l.tracks[l.random.IntN(len(l.tracks))]
		req.Events = append(req.Events, event.ToProto(e))
	}
	body, err := proto.Marshal(req)
	if err != nil {
		panic(err) // the events are made here
	}
	return body
}

// makeBodies are whose events lie in the last quarter of an hour, in order.
func makeBodies(n, batch int) [][]byte {
	l := newListening(5000)
	at := time.Now().Add(-time.Duration(n*batch) * time.Millisecond)
	l.clock = func() time.Time { at = at.Add(time.Millisecond); return at }
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = l.body(batch)
	}
	return bodies
}

func (i *instance) post(ctx context.Context, body []byte) error {
	return i.call(ctx, "POST", "/v1/events", "dev-service:importer", body, &eventpb.WriteEventsResponse{})
}

// reading is what /metrics said.
type reading map[string]*dto.MetricFamily

func (i *instance) metrics(tb testing.TB) reading {
	tb.Helper()
	resp, err := http.Get(i.admin + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return families
}

// sum is the sum of a metric's series.
func (r reading) sum(name string) float64 {
	sum := 0.0
	for _, m := range r[name].GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
}

// quantile is that of what came into a shelf's histogram since an earlier reading, on a straight line between the ends
// of its bucket.
func (r reading) quantile(since reading, name, shelf string, q float64) float64 {
	now, then := r.histogram(name, shelf), since.histogram(name, shelf)
	rank := q * float64(now.GetSampleCount()-then.GetSampleCount())
	low, below := 0.0, 0.0
	for i, bucket := range now.GetBucket() {
		n := float64(bucket.GetCumulativeCount() - then.GetBucket()[i].GetCumulativeCount())
		if n >= rank {
			return low + (bucket.GetUpperBound()-low)*(rank-below)/max(n-below, 1)
		}
		low, below = bucket.GetUpperBound(), n
	}
	return low
}

func (r reading) histogram(name, shelf string) *dto.Histogram {
	for _, m := range r[name].GetMetric() {
		if m.GetLabel()[0].GetValue() == shelf {
			return m.GetHistogram()
		}
	}
	return nil
}
