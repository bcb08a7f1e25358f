package api_test

import (
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api"
	"homefeed/shelves/store"
)

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
// their own. The three take turns, and what counts is the median of the turns. "cached": every Home is in memory, and
// costs less than a refusal would save. "store": each is read from a store that takes 5 ms, 4 at once. "cpu": each is made
// as JSON, which takes a core two milliseconds, one at once: the other core is for refusing, and for the crowd.
func BenchmarkLoad(b *testing.B) {
	// What this process keeps is small, and it would collect garbage many times as often as one whose caches are full.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
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
			addr, request := c.serve(b)
			all := newCrowd(b, slices.Repeat([]errand{{addr, request}}, c.crowd))
			const during, turns = 2 * time.Second, 5
			all.ask(b, c.busy, 0, during/2) // caches, buffers and the scheduler
			for b.Loop() {
				seen := map[string][]float64{}
				for range turns {
					knee := all.ask(b, c.busy, 0, during)
					easy := all.ask(b, c.crowd, .7*knee.rate(), during)
					note := func(what string, value float64) { seen[what] = append(seen[what], value) }
					note("knee/s", knee.rate())
					note("knee-p99-ms", knee.p99().Seconds()*1e3)
					note("70%-p99-ms", easy.p99().Seconds()*1e3)
					note("70%-refused-%", 100*float64(easy.Refused)/float64(easy.Refused+easy.Answered))
					if !c.tenfold {
						continue
					}
					flood := all.ask(b, c.crowd, 10*knee.rate(), during)
					note("10x-goodput-%", 100*flood.rate()/knee.rate())
					note("10x-p99-%", 100*flood.p99().Seconds()/knee.p99().Seconds())
					note("10x-came", float64(flood.Answered+flood.Refused)/flood.Over.Seconds()/knee.rate())
					spent := flood.cpu.Seconds() - knee.cpu.Seconds()/float64(knee.Answered)*float64(flood.Answered)
					note("cpu-µs/refusal", spent/float64(flood.Refused)*1e6)
				}
				for what, values := range seen {
					b.ReportMetric(median(values), what)
				}
			}
		})
	}
}
