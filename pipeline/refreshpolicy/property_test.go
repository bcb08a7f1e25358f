package refreshpolicy_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

// drawShelves makes one to four shelves with any signals.
func drawShelves(t *rapid.T) []*shelf.Shelf {
	shelves := make([]*shelf.Shelf, rapid.IntRange(1, 4).Draw(t, "shelves"))
	for i := range shelves {
		var on []shelf.Signal
		for range rapid.IntRange(0, 2).Draw(t, "signals") {
			on = append(on, shelf.Signal{
				Kind:    shelf.Kind(rapid.IntRange(1, 3).Draw(t, "kind")),
				AtLeast: rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "at least"),
				Within:  time.Duration(rapid.IntRange(1, 30).Draw(t, "within")) * time.Millisecond,
			})
		}
		shelves[i] = makeShelf(fmt.Sprint("s", i), time.Duration(rapid.IntRange(1, 20).Draw(t, "freshness"))*time.Millisecond, on...)
	}
	return shelves
}

// drawEvents makes at most most events of one listener in order, with gaps from least to 12 ms.
func drawEvents(t *rapid.T, most, least int) []event.Event {
	events := make([]event.Event, rapid.IntRange(0, most).Draw(t, "events"))
	at := epoch
	for i := range events {
		at = at.Add(time.Duration(rapid.IntRange(least, 12).Draw(t, "gap")) * time.Millisecond)
		events[i] = event.Event{
			ID: fmt.Sprintf("e%03d", i), Kind: event.Kind(rapid.IntRange(1, 3).Draw(t, "kind")),
			User: user, Object: "o", Time: at,
		}
	}
	return events
}

// staleness is which of the distinct events make the shelf stale, by time and id: the definition, not the machine.
func staleness(s *shelf.Shelf, events []event.Event) []event.Event {
	distinct := map[string]event.Event{}
	for _, e := range events {
		distinct[e.ID] = e
	}
	var stale []event.Event
	for _, e := range distinct {
		for _, sig := range s.Signals() {
			n := 0
			for _, o := range distinct {
				before := e.Time.Sub(o.Time)
				if o.Kind == e.Kind && before >= 0 && (before <= sig.Within || o.ID == e.ID) {
					n++
				}
			}
			if event.Kind(sig.Kind) == e.Kind && (sig.AtLeast == 1 || n >= sig.AtLeast) {
				stale = append(stale, e)
				break
			}
		}
	}
	slices.SortFunc(stale, func(a, b event.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	return stale
}

func runsOf(name string, fired []trigger.Trigger) (runs []trigger.Due, at []time.Time) {
	for _, f := range fired {
		for _, d := range f.Due {
			if d.Shelf == name {
				runs, at = append(runs, d), append(at, f.FireTime)
			}
		}
	}
	return runs, at
}

// fewest is the least number of refreshes with one in (t, t+fresh] for each event at t, by trying every time.
func fewest(stale []event.Event, fresh, span int64) int {
	const none = 1 << 30
	if len(stale) == 0 {
		return 0
	}
	served := func(after, at int64) bool { // all events in [after, at) accept a refresh at at
		for _, e := range stale {
			if t := e.Time.Sub(epoch).Milliseconds(); after <= t && t < at && at > t+fresh {
				return false
			}
		}
		return true
	}
	last := stale[len(stale)-1].Time.Sub(epoch).Milliseconds()
	best, least := make([]int, span+fresh+1), none
	for at := int64(1); at < int64(len(best)); at++ {
		best[at] = none
		if served(0, at) {
			best[at] = 1
		}
		for before := int64(1); before < at; before++ {
			if best[before] < none && served(before, at) {
				best[at] = min(best[at], best[before]+1)
			}
		}
		if at > last {
			least = min(least, best[at])
		}
	}
	return least
}

func TestInOrderIsGreedyAndOptimal(t *testing.T) {
	const most, span = 10, 10 * 12
	rapid.Check(t, func(t *rapid.T) {
		shelves, events := drawShelves(t), drawEvents(t, most, 1)
		fired := run(mustPolicy(t, shelves, refreshpolicy.Config{}), events)
		for _, s := range shelves {
			stale := staleness(s, events)
			runs, at := runsOf(s.Name, fired)
			// Greedy: wait for the first unserved event as long as it allows, serve all before, and so on.
			var want []trigger.Due
			var wantAt []time.Time
			for i := 0; i < len(stale); {
				due := stale[i].Time.Add(s.Guard.Freshness)
				d := trigger.Due{Shelf: s.Name, First: refOf(stale[i])}
				for ; i < len(stale) && stale[i].Time.Before(due); i++ {
					d.Last = refOf(stale[i])
					d.Count++
				}
				want, wantAt = append(want, d), append(wantAt, due)
			}
			if diff := gocmp.Diff(want, runs); diff != "" {
				t.Fatalf("shelf %+v: runs (-greedy +policy):\n%s", s, diff)
			}
			if diff := gocmp.Diff(wantAt, at); diff != "" {
				t.Fatalf("shelf %+v: fire times (-greedy +policy):\n%s", s, diff)
			}
			if n := fewest(stale, s.Guard.Freshness.Milliseconds(), span); n != len(runs) {
				t.Fatalf("shelf %+v: %d refreshes: want the fewest possible, %d", s, len(runs), n)
			}
		}
	})
}

func refOf(e event.Event) trigger.Ref { return trigger.Ref{ID: e.ID, Time: e.Time} }

func TestCooldownSpacesAndNothingIsLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shelves, events := drawShelves(t), drawEvents(t, 30, 1)
		least := shelves[0].Guard.Freshness
		for _, s := range shelves {
			least = min(least, s.Guard.Freshness)
		}
		cooldown := time.Duration(rapid.Int64Range(0, 3*least.Milliseconds()).Draw(t, "cooldown")) * time.Millisecond
		fired := run(mustPolicy(t, shelves, refreshpolicy.Config{Cooldown: cooldown}), events)
		for i := 1; i < len(fired); i++ {
			if apart := fired[i].FireTime.Sub(fired[i-1].FireTime); apart < max(min(cooldown, least), 1) {
				t.Fatalf("refreshes %d and %d are %v apart: want at least %v", i-1, i, apart, min(cooldown, least))
			}
		}
		for _, s := range shelves {
			runs, at := runsOf(s.Name, fired)
			for _, e := range staleness(s, events) {
				covering := 0
				for i, d := range runs {
					if !e.Time.Before(d.First.Time) && !e.Time.After(d.Last.Time) {
						covering++
						if late := at[i].Sub(e.Time); late <= 0 || late > s.Guard.Freshness {
							t.Fatalf("shelf %s: event %s was served after %v: want within %v", s.Name, e.ID, late, s.Guard.Freshness)
						}
					}
				}
				if covering != 1 {
					t.Fatalf("shelf %s: event %s is in %d runs: want exactly 1", s.Name, e.ID, covering)
				}
			}
		}
	})
}

// In any order and repeated, every event that makes a shelf stale is covered, and the row ends up the same.
func TestAnyOrderEndsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shelves, events := drawShelves(t), drawEvents(t, 20, 0)
		var sent []event.Event
		for _, e := range events {
			for range rapid.IntRange(1, 3).Draw(t, "times") {
				sent = append(sent, e)
			}
		}
		sent = rapid.Permutation(sent).Draw(t, "order")
		p := mustPolicy(t, shelves, refreshpolicy.Config{})
		var s refreshpolicy.State
		var fired []trigger.Trigger
		for i, e := range sent {
			fired = append(fired, p.Add(&s, e, uint64(i+1))...)
			if rapid.IntRange(0, 3).Draw(t, "let time pass") == 0 {
				fired = append(fired, p.Advance(&s, user, epoch.Add(time.Duration(rapid.IntRange(0, 150).Draw(t, "now"))*time.Millisecond))...)
			}
		}
		fired = append(fired, p.Advance(&s, user, epoch.Add(time.Minute))...)
		for _, sh := range shelves {
			runs, _ := runsOf(sh.Name, fired)
			stale := staleness(sh, events)
			for _, e := range stale {
				if !slices.ContainsFunc(runs, func(d trigger.Due) bool {
					return !e.Time.Before(d.First.Time) && !e.Time.After(d.Last.Time)
				}) {
					t.Fatalf("shelf %+v: event %s is in no run", sh, e.ID)
				}
			}
			var last, want trigger.Ref
			for _, d := range runs {
				if d.Last.Time.After(last.Time) || d.Last.Time.Equal(last.Time) && d.Last.ID > last.ID {
					last = d.Last
				}
			}
			if len(stale) > 0 {
				want = refOf(stale[len(stale)-1])
			}
			if last != want {
				t.Fatalf("shelf %+v: newest event covered is %+v: want %+v", sh, last, want)
			}
		}
	})
}

// A state that is written and read back between all steps behaves as one that is kept.
func TestEncodeChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shelves, events := drawShelves(t), drawEvents(t, 20, 0)
		events = rapid.Permutation(events).Draw(t, "order")
		p := mustPolicy(t, shelves, refreshpolicy.Config{Lateness: time.Duration(rapid.IntRange(1, 100).Draw(t, "lateness")) * time.Millisecond})
		var kept, coded refreshpolicy.State
		for i, e := range events {
			want, got := p.Add(&kept, e, uint64(i+1)), p.Add(&coded, e, uint64(i+1))
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("event %d (-kept +coded):\n%s", i, diff)
			}
			again, err := p.Decode(p.Encode(&coded))
			if err != nil {
				t.Fatal(err)
			}
			coded = again
			checkSame(t, p, &kept, &coded)
		}
	})
}

func checkSame(t *rapid.T, p *refreshpolicy.Policy, a, b *refreshpolicy.State) {
	t.Helper()
	nextA, okA := p.Next(a)
	nextB, okB := p.Next(b)
	posA, hasA := p.OldestPos(a)
	posB, hasB := p.OldestPos(b)
	if okA != okB || !nextA.Equal(nextB) || posA != posB || hasA != hasB || a.Empty() != b.Empty() {
		t.Fatalf("Next %v/%v, OldestPos %d/%d, Empty %v/%v: want the same", nextA, nextB, posA, posB, a.Empty(), b.Empty())
	}
}

func mustPolicy(t *rapid.T, shelves []*shelf.Shelf, cfg refreshpolicy.Config) *refreshpolicy.Policy {
	t.Helper()
	p, err := refreshpolicy.New(shelves, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever the bytes: no panic, and what is accepted is stable.
func FuzzDecode(f *testing.F) {
	three := shelf.Signal{Kind: shelf.Played, AtLeast: 3, Within: 10 * time.Second}
	p, err := refreshpolicy.New([]*shelf.Shelf{makeShelf("a", time.Second), makeShelf("b", time.Minute, three)}, refreshpolicy.Config{})
	if err != nil {
		f.Fatal(err)
	}
	var s refreshpolicy.State
	f.Add(p.Encode(&s))
	for i := range 4 {
		p.Add(&s, play(fmt.Sprint(i), time.Duration(i)*time.Second), uint64(i+1))
		f.Add(p.Encode(&s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := p.Decode(b)
		if err != nil {
			return
		}
		again, err := p.Decode(p.Encode(&s))
		if err != nil {
			t.Fatalf("decoding what Encode wrote: %v", err)
		}
		if diff := gocmp.Diff(p.Encode(&s), p.Encode(&again)); diff != "" {
			t.Fatalf("encoding changes what it encodes (-first +again):\n%s", diff)
		}
		p.Next(&s)
		p.OldestPos(&s)
		p.Add(&s, play("x", time.Hour), 9)
		p.Advance(&s, user, epoch.Add(2*time.Hour))
	})
}
