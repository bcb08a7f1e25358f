package refreshpolicy_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

const user = "ann"

var epoch = time.UnixMilli(1_700_000_000_000).UTC()

func noCards(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

func makeShelf(name string, fresh time.Duration, on ...shelf.Signal) *shelf.Shelf {
	return &shelf.Shelf{Name: name, Doc: "A test.", On: on, Guard: shelf.Guard{Freshness: fresh}, Fill: noCards}
}

func makePolicy(t testing.TB, cfg refreshpolicy.Config, shelves ...*shelf.Shelf) *refreshpolicy.Policy {
	t.Helper()
	p, err := refreshpolicy.New(shelves, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func play(id string, after time.Duration) event.Event {
	return event.Event{ID: id, Kind: event.Played, User: user, Object: "t", Time: epoch.Add(after)}
}

// run adds the events in their order, and then lets everything fall due.
func run(p *refreshpolicy.Policy, events []event.Event) []trigger.Trigger {
	var s refreshpolicy.State
	var fired []trigger.Trigger
	for i, e := range events {
		fired = append(fired, p.Add(&s, e, uint64(i+1))...)
	}
	return append(fired, p.Advance(&s, user, time.UnixMilli(math.MaxInt32*1000))...)
}

// brief is a trigger as "seconds it fired: shelf first-last×count, …".
func brief(ts []trigger.Trigger) []string {
	var out []string
	for _, t := range ts {
		var due []string
		for _, d := range t.Due {
			due = append(due, fmt.Sprintf("%s %s-%s×%d", d.Shelf, d.First.ID, d.Last.ID, d.Count))
		}
		out = append(out, fmt.Sprintf("%v: %s", t.FireTime.Sub(epoch), strings.Join(due, ", ")))
	}
	return out
}

func TestPolicyFires(t *testing.T) {
	second := time.Second
	three := shelf.Signal{Kind: shelf.Played, AtLeast: 3, Within: 10 * second}
	tests := []struct {
		name    string
		cfg     refreshpolicy.Config
		shelves []*shelf.Shelf
		events  []event.Event
		want    []string
	}{
		{
			name:    "one refresh serves what comes before it is due",
			shelves: []*shelf.Shelf{makeShelf("a", 5*second)},
			events:  []event.Event{play("1", 0), play("2", second), play("3", 4999*time.Millisecond)},
			want:    []string{"5s: a 1-3×3"},
		},
		{
			name:    "an event at the fire time belongs to the next run",
			shelves: []*shelf.Shelf{makeShelf("a", 5*second)},
			events:  []event.Event{play("1", 0), play("2", 5*second)},
			want:    []string{"5s: a 1-1×1", "10s: a 2-2×1"},
		},
		{
			name:    "each shelf has its own time",
			shelves: []*shelf.Shelf{makeShelf("a", 5*second), makeShelf("b", 7*second)},
			events:  []event.Event{play("1", 0), play("2", 6*second)},
			want:    []string{"5s: a 1-1×1", "7s: b 1-2×2", "11s: a 2-2×1"},
		},
		{
			name:    "shelves due within the cooldown ride along",
			cfg:     refreshpolicy.Config{Cooldown: 2 * second},
			shelves: []*shelf.Shelf{makeShelf("a", 5*second), makeShelf("b", 7*second), makeShelf("c", 8*second)},
			events:  []event.Event{play("1", 0)},
			want:    []string{"5s: a 1-1×1, b 1-1×1", "8s: c 1-1×1"},
		},
		{
			name:    "a cooldown longer than the freshness makes nothing late",
			cfg:     refreshpolicy.Config{Cooldown: 4 * second},
			shelves: []*shelf.Shelf{makeShelf("a", 2*second), makeShelf("b", 5*second)},
			events:  []event.Event{play("1", 0), play("2", 3*second)},
			want:    []string{"2s: a 1-1×1, b 1-1×1", "5s: a 2-2×1, b 2-2×1"},
		},
		{
			name:    "a late event pulls the refresh forward",
			shelves: []*shelf.Shelf{makeShelf("a", 5*second)},
			events:  []event.Event{play("2", 3*second), play("1", second)},
			want:    []string{"6s: a 1-2×2"},
		},
		{
			name:    "of several events the last one makes stale",
			shelves: []*shelf.Shelf{makeShelf("a", 5*second, three)},
			events:  []event.Event{play("1", 0), play("2", second), play("3", 2*second)},
			want:    []string{"7s: a 3-3×1"},
		},
		{
			name:    "several events too far apart do not",
			shelves: []*shelf.Shelf{makeShelf("a", 5*second, three)},
			events:  []event.Event{play("1", 0), play("2", second), play("3", 10*second+time.Millisecond)},
		},
		{
			name:    "what has been served counts for what comes next",
			shelves: []*shelf.Shelf{makeShelf("a", second, three)},
			events:  []event.Event{play("1", 0), play("2", second), play("3", 2*second), play("4", 9*second)},
			want:    []string{"3s: a 3-3×1", "10s: a 4-4×1"},
		},
		{
			name:    "the same event again does not count again",
			shelves: []*shelf.Shelf{makeShelf("a", second, three)},
			events:  []event.Event{play("1", 0), play("2", second), play("2", second), play("1", 0)},
		},
		{
			name:    "a late event makes stale what was there",
			shelves: []*shelf.Shelf{makeShelf("a", second, three)},
			events:  []event.Event{play("1", 0), play("3", 9*second), play("4", 11*second), play("2", 5*second)},
			want:    []string{"10s: a 3-4×2"},
		},
		{
			name: "a kind that no shelf listens to",
			shelves: []*shelf.Shelf{makeShelf("a", second),
				{Name: "m", Doc: "Of a market.", Scope: shelf.Market, Fill: noCards}},
			events: []event.Event{{ID: "1", Kind: event.Followed, User: user, Object: "x", Time: epoch}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fired := run(makePolicy(t, tt.cfg, tt.shelves...), tt.events)
			if diff := cmp.Diff(tt.want, brief(fired)); diff != "" {
				t.Errorf("triggers (-want +got):\n%s", diff)
			}
			for _, f := range fired {
				if f.User != user || f.Cause != trigger.Streaming {
					t.Errorf("trigger %+v: want the listener and the cause Streaming", f)
				}
			}
		})
	}
}

func TestStateReturnsToEmpty(t *testing.T) {
	three := shelf.Signal{Kind: shelf.Played, AtLeast: 3, Within: 10 * time.Second}
	p := makePolicy(t, refreshpolicy.Config{Lateness: time.Minute},
		makeShelf("a", time.Second), makeShelf("b", time.Second, three))
	var s refreshpolicy.State

	p.Add(&s, event.Event{ID: "f", Kind: event.Followed, User: user, Object: "x", Time: epoch}, 1)
	if !s.Empty() {
		t.Fatal("an event that no shelf listens to left something in the state")
	}
	p.Add(&s, play("1", 0), 7)
	if pos, ok := p.OldestPos(&s); !ok || pos != 7 {
		t.Fatalf("OldestPos = %d, %v: want 7, true", pos, ok)
	}
	p.Advance(&s, user, epoch.Add(time.Second))
	if pos, ok := p.OldestPos(&s); ok {
		t.Fatalf("OldestPos = %d after everything is served: want none", pos)
	}
	next, ok := p.Next(&s)
	if want := epoch.Add(70 * time.Second); !ok || !next.Equal(want) {
		t.Fatalf("Next = %v, %v: want %v, when the play is forgotten", next, ok, want)
	}
	p.Advance(&s, user, next)
	if _, ok := p.Next(&s); !s.Empty() || ok {
		t.Fatal("the state is not empty when everything is served and forgotten")
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name    string
		shelves []*shelf.Shelf
		cfg     refreshpolicy.Config
		want    string
	}{
		{"negative cooldown", nil, refreshpolicy.Config{Cooldown: -1}, "Cooldown: want 0 or more"},
		{"negative lateness", nil, refreshpolicy.Config{Lateness: -1}, "Lateness: want 0 or more"},
		{"twice", []*shelf.Shelf{makeShelf("a", time.Second), makeShelf("a", time.Second)},
			refreshpolicy.Config{}, `shelf "a" is listed twice`},
		{"bad shelf", []*shelf.Shelf{{Name: "A"}}, refreshpolicy.Config{}, "Name: want"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := refreshpolicy.New(tt.shelves, tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: error %v: want one with %q", err, tt.want)
			}
		})
	}
}

func TestMaxFreshness(t *testing.T) {
	p := makePolicy(t, refreshpolicy.Config{}, makeShelf("a", time.Minute), makeShelf("b", 0))
	if got := p.MaxFreshness(); got != time.Minute {
		t.Errorf("MaxFreshness = %v: want 1m", got)
	}
}

// Memory is bounded however busy a listener is, and the newest as-of is right all the same.
func TestBusyListenerIsBounded(t *testing.T) {
	p := makePolicy(t, refreshpolicy.Config{},
		makeShelf("a", time.Minute, shelf.Signal{Kind: shelf.Played, AtLeast: 3, Within: 10 * time.Minute}))
	var s refreshpolicy.State
	var last trigger.Trigger
	for i := range 5000 {
		for _, tr := range p.Add(&s, play(fmt.Sprint(i), time.Duration(i)*100*time.Millisecond), uint64(i)) {
			last = tr
		}
		if size := len(p.Encode(&s)); size > 4096 {
			t.Fatalf("after %d events the state has %d bytes: want at most 4096", i+1, size)
		}
	}
	if fired := p.Advance(&s, user, epoch.Add(time.Hour)); len(fired) > 0 {
		last = fired[len(fired)-1]
	}
	if last.AsOf() != epoch.Add(499900*time.Millisecond) {
		t.Errorf("last as-of %v: want that of the last event", last.AsOf().Sub(epoch))
	}
}

func BenchmarkAdd(b *testing.B) {
	three := shelf.Signal{Kind: shelf.Played, AtLeast: 3, Within: 10 * time.Minute}
	few := []*shelf.Shelf{makeShelf("a", 2*time.Second), makeShelf("b", 10*time.Second),
		makeShelf("c", 30*time.Second), makeShelf("d", time.Minute), makeShelf("e", time.Minute)}
	for _, bm := range []struct {
		name    string
		shelves []*shelf.Shelf
		gap     time.Duration
	}{
		{"five shelves, 100 ms apart", few, 100 * time.Millisecond},
		{"five shelves, 10 s apart", few, 10 * time.Second},
		{"and one of three plays, 100 ms apart", append(few, makeShelf("f", time.Minute, three)), 100 * time.Millisecond},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := makePolicy(b, refreshpolicy.Config{}, bm.shelves...)
			ids := make([]string, 1024)
			for i := range ids {
				ids[i] = fmt.Sprint(i)
			}
			var s refreshpolicy.State
			fired, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				fired += len(p.Add(&s, play(ids[i%len(ids)], time.Duration(i)*bm.gap), uint64(i)))
				i++
			}
			b.ReportMetric(float64(fired)/float64(b.N), "triggers/event")
		})
	}
}
