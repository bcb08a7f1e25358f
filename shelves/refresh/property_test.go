package refresh_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
)

// schedule is one way in which the events of a listener may come.
type schedule struct {
	groups   [][]int         // the events of each trigger
	gaps     []time.Duration // before each trigger is published
	repeats  []int           // how often each is published
	slowness []time.Duration // how long each call of a client takes, in turns
	failures int             // how many of the first writes fail
	lostAcks int             // how many of the first acks fail
}

func draw(t *rapid.T, events int) schedule {
	var s schedule
	order := rapid.Permutation(upTo(events)).Draw(t, "order")
	for len(order) > 0 {
		n := rapid.IntRange(1, len(order)).Draw(t, "group")
		s.groups = append(s.groups, order[:n])
		order = order[n:]
		s.gaps = append(s.gaps, rapid.SampledFrom([]time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second}).Draw(t, "gap"))
		s.repeats = append(s.repeats, rapid.IntRange(1, 3).Draw(t, "repeats"))
	}
	s.slowness = rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, time.Millisecond, 300 * time.Millisecond}), 1, 5).Draw(t, "slowness")
	s.failures = rapid.IntRange(0, 2).Draw(t, "failures")
	s.lostAcks = rapid.IntRange(0, 2).Draw(t, "lost acks")
	return s
}

func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// recorder is a songs-played service that learns of events as they come.
type recorder struct {
	mu       sync.Mutex
	recorded []shelf.Play
	slowness []time.Duration
	calls    int
}

func (r *recorder) record(ps ...shelf.Play) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range ps {
		if !slices.Contains(r.recorded, p) {
			r.recorded = append(r.recorded, p)
		}
	}
}

func (r *recorder) world() *shelftest.World {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &shelftest.World{Plays: slices.Clone(r.recorded)}
}

type slowPlays struct {
	shelf.SongsPlayed
	r    *recorder
	asOf time.Time
}

func (p slowPlays) wait() shelf.SongsPlayed {
	snapshot := p.r.world().SongsPlayed(p.asOf) // what is recorded when the call begins is what it answers
	p.r.mu.Lock()
	pause := p.r.slowness[p.r.calls%len(p.r.slowness)]
	p.r.calls++
	p.r.mu.Unlock()
	elapse(pause)
	return snapshot
}

func (p slowPlays) Recent(ctx context.Context, n int) ([]shelf.Play, error) {
	return p.wait().Recent(ctx, n)
}

func (p slowPlays) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	return p.wait().TopTracks(ctx, since, n)
}

// play is the row that a schedule ends in.
func play(t *testing.T, events []shelf.Play, s schedule) (row map[string]decoded, left int, dead []string) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		r := &recorder{slowness: s.slowness}
		f.cfg.Plays = func(_ string, asOf time.Time) shelf.SongsPlayed { return slowPlays{r: r, asOf: asOf} }
		f.store.onWrite = countdown(&s.failures)
		lost := countdown(&s.lostAcks)
		f.bus.onAck = func() error { return lost(t.Context()) }
		stop := f.start(t)
		for i, group := range s.groups {
			elapse(s.gaps[i])
			var covered []shelf.Play
			for _, e := range group {
				covered = append(covered, events[e])
			}
			r.record(covered...) // recorded before announced
			tr := covering(covered)
			for range s.repeats[i] {
				f.bus.publish(tr)
			}
		}
		elapse(5 * time.Minute)
		stopped(t, stop)
		row = f.row(t, "ann")
		for name, d := range row { // which trigger made the row depends on how events were grouped
			d.Trigger = ""
			row[name] = d
		}
		_, left, dead = f.bus.state()
	})
	return row, left, dead
}

// countdown fails n times.
func countdown(n *int) func(context.Context) error {
	var mu sync.Mutex
	return func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if *n--; *n >= 0 {
			return errAway
		}
		return nil
	}
}

func covering(plays []shelf.Play) trigger.Trigger {
	byTime := func(a, b shelf.Play) int { return a.Time.Compare(b.Time) }
	first, last := slices.MinFunc(plays, byTime), slices.MaxFunc(plays, byTime)
	tr := trigger.Trigger{User: "ann", Cause: trigger.Streaming, FireTime: first.Time.Add(2 * time.Second)}
	for _, name := range []string{"recently_played", "heavy_rotation"} {
		tr.Due = append(tr.Due, trigger.Due{Shelf: name, Count: int64(len(plays)),
			First: trigger.Ref{ID: "e" + first.Track, Time: first.Time}, Last: trigger.Ref{ID: "e" + last.Track, Time: last.Time}})
	}
	return tr.WithID()
}

// TestAnyOrderOfTriggersEndsInTheSameRow groups a listener's events into triggers in any way, publishes them in
// any order, repeats them, and lets clients be slow, writes fail and acks get lost.
func TestAnyOrderOfTriggersEndsInTheSameRow(t *testing.T) {
	var events []shelf.Play
	for i := range 8 {
		events = append(events, shelf.Play{Track: fmt.Sprintf("bach.bwv%d", i%5), Time: shelftest.Noon.Add(-time.Duration(7-i) * time.Hour)})
	}
	inOrder := schedule{groups: [][]int{upTo(len(events))}, gaps: []time.Duration{0}, repeats: []int{1}, slowness: []time.Duration{0}}
	want, left, dead := play(t, events, inOrder)
	if left != 0 || len(dead) != 0 || len(want) != 2 || len(want["recently_played"].URIs) != 5 {
		t.Fatalf("in order: row %v, %d left, dead letters %q", want, left, dead)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := draw(rt, len(events))
		got, left, dead := play(t, events, s)
		if diff := cmp.Diff(want, got); diff != "" || left != 0 || len(dead) != 0 {
			rt.Fatalf("%d left, dead letters %q, row (-in order +got):\n%s", left, dead, diff)
		}
	})
}
