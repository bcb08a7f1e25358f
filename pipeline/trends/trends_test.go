package trends_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

var epoch = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func play(id, user, track, market string, after time.Duration) event.Event {
	return event.Event{ID: id, Kind: event.Played, User: user, Object: track, Market: market, Time: epoch.Add(after)}
}

func newAggregator(t testing.TB, cfg trends.Config) *trends.Aggregator {
	t.Helper()
	a, err := trends.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// brief is a trigger as "market minutes×count: track=plays …".
func brief(ts []trigger.Trigger) []string {
	var out []string
	for _, t := range ts {
		var top []string
		for _, c := range t.Top {
			top = append(top, fmt.Sprintf("%s=%d", c.Track, c.Plays))
		}
		out = append(out, fmt.Sprintf("%s %v×%d: %s", t.Market, t.FireTime.Sub(epoch), t.Due[0].Count, strings.Join(top, " ")))
	}
	return out
}

func TestWindows(t *testing.T) {
	cfg := trends.Config{Length: 3 * time.Minute, Lateness: 2 * time.Minute, Top: 2}
	minute := time.Minute
	type step struct {
		plays []event.Event
		now   time.Duration
		want  []string
	}
	tests := []struct {
		name  string
		steps []step
		stats trends.Stats
	}{
		{
			name: "a play counts in its market and in the world, in every window it lies in",
			steps: []step{
				{[]event.Event{play("1", "u", "a", "GB", 0), play("2", "u", "b", "", 1)}, minute - 1, nil},
				{nil, minute, []string{"001 1m0s×2: a=1 b=1", "GB 1m0s×1: a=1"}},
				{nil, 2*minute - 1, nil},
				{nil, 2 * minute, []string{"001 2m0s×2: a=1 b=1", "GB 2m0s×1: a=1"}},
				{nil, 3 * minute, []string{"001 3m0s×2: a=1 b=1", "GB 3m0s×1: a=1"}},
				{nil, 4 * minute, nil},
			},
		},
		{
			name: "a play at the end of a window is in the next one",
			steps: []step{
				{[]event.Event{play("1", "u", "a", "", 0), play("2", "u", "b", "", minute)}, minute, []string{"001 1m0s×1: a=1"}},
			},
		},
		{
			name: "most played first, then by id, and no more than asked for",
			steps: []step{
				{[]event.Event{play("1", "u", "c", "", 0), play("2", "v", "b", "", 0), play("3", "w", "a", "", 0), play("4", "x", "c", "", 0)},
					minute, []string{"001 1m0s×4: c=2 a=1"}},
			},
		},
		{
			name: "of windows passed at once only the newest with plays is emitted",
			steps: []step{
				{[]event.Event{play("1", "u", "a", "", 0), play("2", "u", "b", "", minute)}, 3 * minute, []string{"001 3m0s×2: a=1 b=1"}},
				{nil, time.Hour, []string{"001 4m0s×1: b=1"}},
			},
		},
		{
			name: "a late play changes the window, at most every 10 s",
			steps: []step{
				{[]event.Event{play("1", "u", "a", "", 0)}, minute, []string{"001 1m0s×1: a=1"}},
				{[]event.Event{play("2", "u", "b", "", time.Second)}, minute + 9*time.Second, nil},
				{[]event.Event{play("3", "u", "b", "", 2*time.Second)}, minute + 10*time.Second, []string{"001 1m0s×3: b=2 a=1"}},
				{nil, minute + 30*time.Second, nil},
			},
		},
		{
			name: "a play is late when its last window takes no more",
			steps: []step{
				{nil, 5*minute - 1, nil},
				{[]event.Event{play("1", "u", "a", "", 0)}, 5*minute - 1, []string{"001 3m0s×1: a=1"}},
				{nil, 5 * minute, nil},
				{[]event.Event{play("2", "u", "a", "", 1)}, 6 * minute, nil},
			},
			stats: trends.Stats{Late: 1},
		},
		{
			name: "the same play is counted once, whatever its id, and only plays are",
			steps: []step{
				{[]event.Event{
					play("1", "u", "a", "", 0), play("1", "u", "a", "", 0), play("other", "u", "a", "", 0),
					play("2", "v", "a", "", 0), {ID: "3", Kind: event.Hearted, User: "u", Object: "a", Time: epoch},
				}, minute, []string{"001 1m0s×2: a=2"}},
			},
			stats: trends.Stats{Repeated: 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAggregator(t, cfg)
			for i, s := range tt.steps {
				for _, e := range s.plays {
					a.Add(e)
				}
				if diff := gocmp.Diff(s.want, brief(a.Advance(epoch.Add(s.now)))); diff != "" {
					t.Fatalf("step %d (-want +got):\n%s", i, diff)
				}
			}
			if diff := gocmp.Diff(tt.stats, a.Stats()); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTriggerOfAWindow(t *testing.T) {
	a := newAggregator(t, trends.Config{})
	a.Add(play("second", "u", "a", "GB", 2*time.Second))
	a.Add(play("first", "u", "b", "GB", time.Second))
	got := a.Advance(epoch.Add(time.Minute))[1]
	end := epoch.Add(time.Minute)
	want := trigger.Trigger{
		Market: "GB", Cause: trigger.Streaming, FireTime: end,
		Due: []trigger.Due{{
			Shelf: "trending", Count: 2,
			First: trigger.Ref{ID: "first", Time: epoch.Add(time.Second)},
			Last:  trigger.Ref{ID: "second", Time: end}, // the row is as of the window's end
		}},
		Top: []trigger.TrackCount{{Track: "a", Plays: 1}, {Track: "b", Plays: 1}},
	}.WithID()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("trigger (-want +got):\n%s", diff)
	}
}

func drawPlays(t *rapid.T) []event.Event {
	events := make([]event.Event, rapid.IntRange(0, 40).Draw(t, "plays"))
	for i := range events {
		events[i] = play(fmt.Sprint(i), rapid.SampledFrom([]string{"u", "v"}).Draw(t, "user"),
			rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "track"),
			rapid.SampledFrom([]string{"", "GB", "SE"}).Draw(t, "market"),
			time.Duration(rapid.IntRange(0, 600).Draw(t, "at"))*time.Second)
	}
	return events
}

// In any order, with any steps of the watermark, written and read back at any time: the newest windows are those of
// a count from scratch.
func TestAggregatorEqualsCountFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := trends.Config{Length: 4 * time.Minute, Lateness: 2 * time.Hour, Top: rapid.IntRange(1, 5).Draw(t, "top")}
		events := drawPlays(t)
		a, err := trends.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		newest := map[string]trigger.Trigger{}
		now := epoch
		advance := func(to time.Time) {
			before := now
			now = to
			for _, tr := range a.Advance(now) {
				if tr.FireTime.After(now) || tr.FireTime.Before(newest[tr.Market].FireTime) {
					t.Fatalf("window of %v emitted at %v after that of %v (was at %v)", tr.FireTime, now, newest[tr.Market].FireTime, before)
				}
				newest[tr.Market] = tr
			}
			if next, ok := a.Next(); ok && !next.After(now) {
				t.Fatalf("Next is %v after an advance to %v: want later, or a driver never rests", next, now)
			}
		}
		for _, e := range events {
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				a.Add(e)
			}
			if rapid.Bool().Draw(t, "advance") {
				advance(now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "by")) * time.Second))
			}
			if rapid.IntRange(0, 4).Draw(t, "restart") == 0 {
				a = again(t, a, cfg)
			}
		}
		// Long enough that everything that is dirty has been emitted, in steps as Next asks for.
		until := maxTime(now, epoch.Add(11*time.Minute)).Add(time.Duration(rapid.IntRange(10, 300).Draw(t, "rest")) * time.Second)
		for next, ok := a.Next(); ok && !next.After(until); next, ok = a.Next() {
			advance(maxTime(now, next))
		}
		advance(until)

		want := pipelinetest.Reference(entries(t, events), noPolicy(t), &cfg, until, until)
		var got []trigger.Trigger
		for _, market := range []string{"001", "GB", "SE"} {
			if tr, ok := newest[market]; ok {
				got = append(got, tr)
			}
		}
		if diff := gocmp.Diff(ids(want.Trends), ids(got)); diff != "" {
			t.Fatalf("newest windows (-from scratch +aggregator):\n%s", diff)
		}
	})
}

// ids drops what depends on which of two equal plays with different ids came first.
func ids(ts []trigger.Trigger) []trigger.Trigger {
	ts = slices.Clone(ts)
	for i := range ts {
		ts[i].ID, ts[i].Due = "", slices.Clone(ts[i].Due)
		ts[i].Due[0].First.ID, ts[i].Due[0].Last.ID = "", ""
	}
	return ts
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func entries(t *rapid.T, events []event.Event) []bus.Entry {
	var log pipelinetest.Log
	if err := log.Append(events...); err != nil {
		t.Fatal(err)
	}
	return log.Entries()
}

func noPolicy(t *rapid.T) *refreshpolicy.Policy {
	p, err := refreshpolicy.New(nil, refreshpolicy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func again(t *rapid.T, a *trends.Aggregator, cfg trends.Config) *trends.Aggregator {
	b, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := trends.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.Decode(bytes.Join(b, nil)); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(a.Stats(), restored.Stats()); diff != "" {
		t.Fatalf("stats (-before +after):\n%s", diff)
	}
	return restored
}

// Merging the parts of a window, however it is cut, gives the tally of the whole: what Beam's Combine relies on.
func TestTallyMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawPlays(t)
		var whole, merged trends.Tally
		parts := make([]trends.Tally, 3)
		for _, e := range events {
			whole.Add(e)
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Add(e)
		}
		for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
			merged.Merge(&parts[i])
		}
		if diff := gocmp.Diff(whole, merged); diff != "" {
			t.Fatalf("tally (-whole +merged):\n%s", diff)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	a := newAggregator(t, trends.Config{})
	a.Add(play("1", "u", "a", "", 0))
	parts, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := bytes.Join(parts, nil)
	if err := newAggregator(t, trends.Config{Every: time.Second}).Decode(good); err == nil || !strings.Contains(err.Error(), "windows") {
		t.Errorf("Decode of other windows: error %v: want one that says so", err)
	}
	for n := range good {
		if err := a.Decode(good[:n]); err == nil {
			t.Fatalf("Decode of the first %d of %d bytes: want an error", n, len(good))
		}
	}
	if got := brief(a.Advance(epoch.Add(time.Minute))); len(got) != 1 {
		t.Errorf("after refused decodes the state has the windows %v: want the one it had", got)
	}
}

func FuzzDecode(f *testing.F) {
	a := newAggregator(f, trends.Config{})
	for i := range 3 {
		a.Add(play(fmt.Sprint(i), "u", "a", "GB", time.Duration(i)*time.Minute))
		b, err := a.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Join(b, nil))
		a.Advance(epoch.Add(time.Duration(i) * time.Minute))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newAggregator(t, trends.Config{})
		if err := a.Decode(b); err != nil {
			return
		}
		a.Add(play("x", "u", "a", "GB", time.Hour))
		a.Advance(epoch.Add(time.Hour))
		if _, err := a.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConfigRefuses(t *testing.T) {
	for want, cfg := range map[string]trends.Config{
		"Every":    {Every: time.Microsecond},
		"Length":   {Length: 90 * time.Second},
		"Lateness": {Lateness: -1},
		"Top":      {Top: -1},
	} {
		if _, err := trends.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): error %v: want one that names %s", cfg, err, want)
		}
	}
}
