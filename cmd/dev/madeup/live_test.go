package madeup

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/event"
)

func TestLive(t *testing.T) {
	for _, c := range []struct {
		name      string
		sizes     Sizes
		perSecond float64
		want      float64 // events a second
	}{
		{"a demo", Sizes{}, 5, 5},
		{"a load", Sizes{}, 500, 500},
		{"many at one millisecond", Sizes{}, 20_000, 20_000},
		{"as natural", Sizes{}, .06, .06},
		{"more than there can be", Sizes{Listeners: 3}, 1e6, 3000},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 20_000
			w := New(11, c.sizes)
			from := noon.Add(1) // nanosecond
			events := take(w.Live(from, c.perSecond), n)
			last := events[n-1].Time
			checkStream(t, w, events, last)
			if events[0].Time.Before(from) {
				t.Errorf("the first event is at %v, before %v", events[0].Time, from)
			}
			if rate := n / last.Sub(from).Seconds(); math.Abs(rate/c.want-1) > .05 {
				t.Errorf("%.1f events a second, want %.1f", rate, c.want)
			}
			plays, listeners := 0., map[string]int{}
			for _, e := range events {
				listeners[e.User]++
				if e.Kind == event.Played {
					plays++
				}
			}
			if share := plays / n; share < .9 || share > .999 {
				t.Errorf("%.4f of events are plays, want .9–.999", share)
			}
			if len(listeners) != len(w.people) {
				t.Errorf("%d of %d listeners did anything", len(listeners), len(w.people))
			}
			if d := cmp.Diff(events[:500], take(New(11, c.sizes).Live(from, c.perSecond), 500)); d != "" {
				t.Errorf("the same seed has another stream:\n%s", d)
			}
			if slices.Equal(events[:500], take(New(12, c.sizes).Live(from, c.perSecond), 500)) {
				t.Error("another seed has the same stream")
			}
		})
	}
}

func TestLiveWithoutRate(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN()} {
		for e := range New(11, Sizes{}).Live(noon, rate) {
			t.Fatalf("%+v at a rate of %v", e, rate)
		}
	}
}

func TestLiveTastes(t *testing.T) {
	w := New(11, Sizes{})
	checkTastes(t, w, slices.Values(take(w.Live(noon, 500), 100_000)))
}

// TestLiveAfterHistory checks that a history up to a moment and what is live from it are one stream.
func TestLiveAfterHistory(t *testing.T) {
	w := New(11, Sizes{})
	now := noon.Add(123_456_789)
	events := slices.AppendSeq(slices.Collect(w.History(now.Add(-2*day), now)), slices.Values(take(w.Live(now, 50), 5000)))
	checkStream(t, w, events, now.Add(time.Hour))
}

func BenchmarkLive(b *testing.B) {
	w := New(11, Sizes{})
	b.ReportAllocs()
	left := b.N
	for range w.Live(noon, 500) {
		if left--; left == 0 {
			break
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
