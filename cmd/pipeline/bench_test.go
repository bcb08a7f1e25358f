package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// BenchmarkSteady feeds the program 500 events a second of 5,000 listeners in real time, with the shelves of this
// release, for half a minute after it has warmed up: its CPU as a share of one core, and how long after they were
// due triggers are on the bus.
//
//	go test ./cmd/pipeline -run '^$' -bench Steady -benchtime 1x -timeout 30m
func BenchmarkSteady(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), generous)
	defer cancel()
	const rate, warm, measured = 500, 70 * time.Second, 30 * time.Second
	for b.Loop() {
		w := newWorld(ctx, b)
		p, admin := w.program(b)
		if err := p.Ready(ctx, admin+"/readyz"); err != nil {
			b.Fatal(err)
		}
		idle := metric(ctx, b, admin, "process_cpu_seconds_total")
		pause(ctx, 10*time.Second)
		idle = metric(ctx, b, admin, "process_cpu_seconds_total") - idle

		fed := make(chan struct{})
		feedCtx, stop := context.WithCancel(ctx)
		go func() {
			defer close(fed)
			w.feed(feedCtx, b, rate)
		}()
		pause(ctx, warm) // longer than any freshness: as many refreshes as events of their time ask for
		began, before := time.Now(), metric(ctx, b, admin, "process_cpu_seconds_total")
		pause(ctx, measured)
		used, took := metric(ctx, b, admin, "process_cpu_seconds_total")-before, time.Since(began)
		stop()
		<-fed
		b.ReportMetric(100*used/took.Seconds(), "%core")
		b.ReportMetric(100*idle/10, "%core-idle")
		delays := w.delays(ctx, b, began, began.Add(took))
		b.ReportMetric(float64(len(delays))/took.Seconds(), "triggers/s")
		b.ReportMetric(float64(delays[len(delays)/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(delays[len(delays)*99/100].Milliseconds()), "p99-ms")
		if err := p.Terminate(generous); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkCatchUp has the program work through a log that is there as a whole.
//
//	go test ./cmd/pipeline -run '^$' -bench CatchUp -benchtime 1x
func BenchmarkCatchUp(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), 2*generous)
	defer cancel()
	const n = 100_000
	for b.Loop() {
		w := newWorld(ctx, b)
		messages := map[string][]bus.Message{}
		for _, e := range madeUp(5, "c", n, 5000, time.Now().Add(-time.Hour), 500) {
			data, err := event.Encode(e)
			if err != nil {
				b.Fatal(err)
			}
			messages[e.Kind.Topic()] = append(messages[e.Kind.Topic()], bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: data})
			if len(messages[e.Kind.Topic()]) == 100 {
				w.publishAll(ctx, b, e.Kind.Topic(), messages)
			}
		}
		for topic := range messages {
			w.publishAll(ctx, b, topic, messages)
		}
		began := time.Now()
		p, admin := w.program(b)
		until(ctx, b, "every event to be served", func() bool { return w.served(ctx, b) })
		took := time.Since(began)
		b.ReportMetric(n/took.Seconds(), "events/s")
		b.ReportMetric(1e6*metric(ctx, b, admin, "process_cpu_seconds_total")/n, "µs-cpu/event")
		if err := p.Terminate(generous); err != nil {
			b.Error(err)
		}
	}
}

func (w *world) publishAll(ctx context.Context, b *testing.B, topic string, messages map[string][]bus.Message) {
	b.Helper()
	if err := w.bus.Publish(ctx, topic, messages[topic]...); err != nil {
		b.Fatal(err)
	}
	messages[topic] = nil
}

// feed publishes rate events a second, each with the time at which it is published, until ctx ends.
func (w *world) feed(ctx context.Context, b *testing.B, rate int) {
	events := madeUp(6, "s", 100_000, 5000, time.Now(), float64(rate))
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for next := 0; next < len(events); {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(rate)); next < due && ctx.Err() == nil; next++ {
			e := events[next]
			e.Time = time.Now().Truncate(time.Millisecond).UTC()
			w.publish(context.WithoutCancel(ctx), b, e)
		}
	}
}

// delays are how long after their due time triggers of listeners were published between from and to, sorted.
func (w *world) delays(ctx context.Context, b *testing.B, from, to time.Time) (delays []time.Duration) {
	b.Helper()
	l, err := w.bus.OpenLogAt(ctx, []string{trigger.Topic}, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for {
		waiting, err := l.Waiting(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if waiting == 0 {
			break
		}
		entries, err := l.Read(ctx, 1000)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range entries {
			t, err := trigger.Decode(e.Data)
			if err != nil {
				b.Fatal(err)
			}
			if t.User != "" && e.Published.After(from) && e.Published.Before(to) {
				delays = append(delays, e.Published.Sub(t.FireTime))
			}
		}
	}
	if len(delays) == 0 {
		b.Fatal("no trigger was published in the time that was measured")
	}
	slices.Sort(delays)
	return delays
}

// metric is the value of a metric without labels.
func metric(ctx context.Context, b *testing.B, admin, name string) float64 {
	b.Helper()
	for line := range strings.Lines(get(ctx, b, admin+"/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				b.Fatal(err)
			}
			return v
		}
	}
	b.Fatalf("no metric %s", name)
	return 0
}

// pause is for benchmarks only: what they measure is what happens in a stretch of real time.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
