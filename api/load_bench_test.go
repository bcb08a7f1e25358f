package api_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api"
	"homefeed/shelves/store"
)

// crowd is many phones, each with a connection and one request at a time. It sends and counts in the process that
// answers, on the same cores: what it costs, about 10 µs a request, is taken from what it measures.
type crowd []*phone

func newCrowd(b *testing.B, size int, c contender) crowd {
	b.Helper()
	c.dial(b, size)
	return c.phones
}

// outcome is what a crowd was answered.
type outcome struct {
	answered, refused int // with 200 or 304, with 503
	took              []time.Duration
	over, cpu         time.Duration
}

// p99 is of the answers that were not refusals.
func (o outcome) p99() time.Duration {
	slices.Sort(o.took)
	return o.took[len(o.took)*99/100]
}

func (o outcome) rate() float64 { return float64(o.answered) / o.over.Seconds() }

// ask sends rate requests a second for a while, each at its own time however long those before it take: whoever
// comes late, because the connection was still waiting, has waited since that time. A rate of 0 is as fast as answers
// come.
func (c crowd) ask(b *testing.B, rate float64, during time.Duration) outcome {
	b.Helper()
	began, used := time.Now(), cpu(b)
	every := time.Duration(0)
	if rate > 0 {
		every = time.Duration(float64(len(c)) / rate * float64(time.Second)) // of each
	}
	parts := make([]outcome, len(c))
	var all sync.WaitGroup
	for i, phone := range c {
		all.Go(func() {
			o := &parts[i]
			due := began.Add(every * time.Duration(i) / time.Duration(len(c)))
			for ; due.Before(began.Add(during)) && time.Since(began) < 2*during; due = due.Add(every) {
				if every == 0 {
					due = time.Now()
				} else {
					<-time.After(time.Until(due))
				}
				switch status := phone.send(b); status {
				case http.StatusOK, http.StatusNotModified:
					o.answered++
					o.took = append(o.took, time.Since(due))
				case http.StatusServiceUnavailable:
					o.refused++
				default:
					b.Errorf("status %d", status)
				}
			}
		})
	}
	all.Wait()
	sum := outcome{over: time.Since(began), cpu: cpu(b) - used}
	for _, o := range parts {
		sum.answered, sum.refused, sum.took = sum.answered+o.answered, sum.refused+o.refused, append(sum.took, o.took...)
	}
	return sum
}

// waiting is a store that is as far away as Bigtable: it takes 5 ms and no processor.
func waiting(ctx context.Context, _ store.Key) error {
	select {
	case <-time.After(5 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// BenchmarkLoad finds how many Homes a second there can be (the knee: as many connections as keep it busy, asking as
// fast as they are answered), and says what happens at 70% of that and at ten times it, requests coming at times of
// their own. "cached": every Home is in memory, and costs less than a refusal would save. "store": each is read from a
// store that takes 5 ms, 4 at once. "cpu": each is made
// as JSON, which takes a core a millisecond, one at once: the other core is for refusing, and for the crowd.
func BenchmarkLoad(b *testing.B) {
	s, shelves := wideHome(b)
	verifier, token := signedIn(b)
	limits := api.Limits{ListenerRate: 1e9, AnswerBytes: -1}
	newOne := func(before func(context.Context, store.Key) error, atOnce int) http.Handler {
		l := limits
		l.Homes = atOnce
		return newAPI(b, api.Config{
			Rows: &rows{rows: s.rows, before: before}, Shelves: shelves, Verifier: verifier, Limits: l, Now: time.Now,
			Registerer: prometheus.NewRegistry(),
		})
	}
	bearer := "Bearer " + token
	for _, c := range []struct {
		contender
		busy, crowd int // connections that make the knee, and all of them
		tenfold     bool
	}{
		{*homeContenders(b)[1], 8, 64, false},
		{contender{name: "store", handler: newOne(waiting, 4), headers: []string{"Accept", "application/x-protobuf", "Authorization", bearer}}, 4, 256, true},
		{contender{name: "cpu", handler: newOne(nil, 1), headers: []string{"Authorization", bearer}}, 1, 256, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			all := newCrowd(b, c.crowd, c.contender)
			const during = 3 * time.Second
			all[:c.busy].ask(b, 0, during/3) // caches, buffers and the scheduler
			for b.Loop() {
				knee := all[:c.busy].ask(b, 0, during)
				easy := all.ask(b, .7*knee.rate(), during)
				b.ReportMetric(knee.rate(), "knee/s")
				b.ReportMetric(knee.p99().Seconds()*1e3, "knee-p99-ms")
				b.ReportMetric(easy.p99().Seconds()*1e3, "70%-p99-ms")
				b.ReportMetric(float64(easy.refused), "70%-refused")
				if !c.tenfold {
					continue
				}
				flood := all.ask(b, 10*knee.rate(), during)
				b.ReportMetric(100*flood.rate()/knee.rate(), "10x-goodput-%")
				b.ReportMetric(flood.p99().Seconds()*1e3, "10x-p99-ms")
				b.ReportMetric(float64(flood.answered+flood.refused)/flood.over.Seconds()/knee.rate(), "10x-came")
				spent := flood.cpu.Seconds() - knee.cpu.Seconds()/float64(knee.answered)*float64(flood.answered)
				b.ReportMetric(spent/float64(flood.refused)*1e6, "cpu-µs/refusal")
			}
		})
	}
}
