package api_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"homefeed/api"
	"homefeed/api/hedge"
	"homefeed/api/rowcache"
	"homefeed/shelves/store"
)

// BenchmarkOutage asks for Homes at a steady rate, over HTTP, of 64 listeners, of whom every sixteenth has no row. Rows
// come from a store that takes 5 ms, by way of the hedge and the cache, which asks again after 100 ms. Whatever is wrong
// takes turns with nothing being wrong, so that what else the machine does hits both alike. Metrics are the 99th
// percentile when all is well, and those while something is not in percent of the one beside them, each the median of the
// turns: a tenth of a second without a core is in the slowest hundredth of one turn, and not of most. Every Home has to be
// answered.
// "stutters": one read in fifty takes 100 ms, with and without the hedge.
func BenchmarkOutage(b *testing.B) {
	const listeners, rate, during, turns = 64, 500, 2 * time.Second, 5
	s, shelves := wideHome(b)
	made := &services{cell: s.rows[userKey(b, "ann")].Cells[0]}
	for i := range listeners {
		if i%16 > 0 {
			s.rows[userKey(b, fmt.Sprint("l", i))] = s.rows[userKey(b, "ann")]
		}
	}
	var trouble atomic.Pointer[outage]
	s.before = func(ctx context.Context, key store.Key) error {
		if happens := trouble.Load(); happens != nil {
			if err := (*happens)(ctx); err != nil {
				return err
			}
		}
		return waiting(ctx, key)
	}
	phones := func(rows rowcache.Store) *crowd {
		cached, err := rowcache.New(rows, rowcache.Options{Age: 100 * time.Millisecond})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(cached.Close)
		a := newAPI(b, api.Config{Rows: cached, Shelves: shelves, OnDemand: made, Now: time.Now, Limits: api.Limits{ListenerRate: 1e9}})
		var all []errand
		for i := range listeners {
			c := contender{name: "phone", handler: a, headers: []string{
				"Accept", "application/x-protobuf", "Authorization", fmt.Sprint("Bearer listener:l", i),
			}}
			addr, request := c.serve(b)
			all = append(all, errand{addr, request})
		}
		return newCrowd(b, all)
	}
	hedged, err := hedge.New(s, hedge.Options{})
	if err != nil {
		b.Fatal(err)
	}
	with, without := phones(hedged), phones(s)
	p99 := func(phones *crowd) float64 {
		o := phones.ask(b, listeners, rate, during)
		if o.Refused > 0 {
			b.Errorf("%d of %d Homes were refused", o.Refused, o.Refused+o.Answered)
		}
		return o.p99().Seconds()
	}
	stutters := outage(func(ctx context.Context) error {
		if rand.IntN(50) > 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for b.Loop() {
		var well []float64
		report := func(what string, phones *crowd, begin func()) {
			var share []float64
			for range turns {
				p99(phones) // until all is well again: every row is seen, and the hedge learns what is late
				beside := p99(phones)
				begin()
				share = append(share, 100*p99(phones)/beside)
				trouble.Store(nil)
				made.outage.Store(nil)
				well = append(well, beside)
			}
			b.ReportMetric(median(share), what+"-%")
		}
		for how, happens := range outages() {
			report("store-"+how, with, func() { trouble.Store(&happens) })
			report("services-"+how, with, func() { made.outage.Store(&happens) })
		}
		report("stutters", with, func() { trouble.Store(&stutters) })
		report("stutters-unhedged", without, func() { trouble.Store(&stutters) })
		b.ReportMetric(median(well)*1e3, "well-p99-ms")
	}
}
