package trends_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"homefeed/pipeline/trends"
)

func TestBounds(t *testing.T) {
	a := newAggregator(t, trends.Config{MaxRemembered: 3, MaxCounts: 4})
	for i := range 10 {
		a.Add(play(fmt.Sprint(i), "u", fmt.Sprint("t", i), "", 0))
	}
	a.Add(play("0", "u", "t0", "", 0)) // remembered
	a.Add(play("3", "u", "t3", "", 0)) // not remembered: counted again
	got := brief(a.Advance(epoch.Add(time.Minute)))
	if diff := gocmp.Diff([]string{"001 1m0s×5: t3=2 t0=1 t1=1 t2=1"}, got); diff != "" {
		t.Errorf("window (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(trends.Stats{Repeated: 1, Unremembered: 8, Uncounted: 6}, a.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	// What is forgotten makes room.
	a.Advance(epoch.Add(2 * time.Hour))
	if _, ok := a.Next(); ok {
		t.Error("something is kept two hours after the last play")
	}
	a.Add(play("11", "u", "new", "", 2*time.Hour))
	if got := a.Stats(); got.Uncounted != 6 || got.Unremembered != 8 {
		t.Errorf("stats %+v after all was forgotten: want no new losses", got)
	}
}

// Days of history read at once make a few triggers, not one for each minute.
func TestHistoryIsNoFlood(t *testing.T) {
	a := newAggregator(t, trends.Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	fired, batches := 0, 0
	for at := time.Duration(0); at < 6*24*time.Hour; batches++ {
		for range 500 {
			at += time.Duration(rng.IntN(30)) * time.Second
			a.Add(play("e", "u", fmt.Sprint("t", rng.IntN(100)), "GB", at))
		}
		fired += len(a.Advance(epoch.Add(at)))
	}
	if fired > 2*batches {
		t.Errorf("%d triggers of 2 markets in %d steps: want at most one a market and step", fired, batches)
	}
}

func BenchmarkAdd(b *testing.B) {
	a := newAggregator(b, trends.Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	tracks := make([]string, 5000)
	for i := range tracks {
		tracks[i] = fmt.Sprint("track-", i)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		e := play("e", "listener", tracks[rng.IntN(len(tracks))], "GB", time.Duration(i)*20*time.Microsecond)
		a.Add(e)
		if i%1000 == 0 {
			a.Advance(e.Time)
		}
		i++
	}
}
