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
// percentile when all is well, and those while something is not in percent of the one beside them; every Home has to be
// answered.
// "stutters": one read in fifty takes 100 ms, with and without the hedge.
func BenchmarkOutage(b *testing.B) {
	const listeners, rate, during, turns = 64, 500, 3 * time.Second, 3
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
	phones := func(rows rowcache.Store) crowd {
		cached, err := rowcache.New(rows, rowcache.Options{Age: 100 * time.Millisecond})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(cached.Close)
		a := newAPI(b, api.Config{Rows: cached, Shelves: shelves, OnDemand: made, Now: time.Now, Limits: api.Limits{ListenerRate: 1e9}})
		var all crowd
		for i := range listeners {
			all = append(all, newCrowd(b, 1, contender{name: "phone", handler: a, headers: []string{
				"Accept", "application/x-protobuf", "Authorization", fmt.Sprint("Bearer listener:l", i),
			}})...)
		}
		return all
	}
	hedged, err := hedge.New(s, hedge.Options{})
	if err != nil {
		b.Fatal(err)
	}
	with, without := phones(hedged), phones(s)
	answered := func(phones crowd) []time.Duration {
		o := phones.ask(b, rate, during)
		if o.refused > 0 {
			b.Errorf("%d of %d Homes were refused", o.refused, o.refused+o.answered)
		}
		return o.took
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
		var well outcome
		report := func(what string, phones crowd, begin func()) {
			var beside, wrong outcome
			for range turns {
				answered(phones) // until all is well again: every row is seen, and the hedge learns what is late
				beside.took = append(beside.took, answered(phones)...)
				begin()
				wrong.took = append(wrong.took, answered(phones)...)
				trouble.Store(nil)
				made.outage.Store(nil)
			}
			b.ReportMetric(100*wrong.p99().Seconds()/beside.p99().Seconds(), what+"-%")
			well.took = append(well.took, beside.took...)
		}
		for how, happens := range outages() {
			report("store-"+how, with, func() { trouble.Store(&happens) })
			report("services-"+how, with, func() { made.outage.Store(&happens) })
		}
		report("stutters", with, func() { trouble.Store(&stutters) })
		b.ReportMetric(well.p99().Seconds()*1e3, "well-p99-ms")
		report("stutters-unhedged", without, func() { trouble.Store(&stutters) })
	}
}
