package refresh

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

func TestPlanOfMergesByShelf(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 12, 0, s, 999_999, time.UTC) }
	due1 := func(name string, s int) trigger.Due {
		return trigger.Due{Shelf: name, Last: trigger.Ref{Time: at(s)}}
	}
	p := planOf(
		trigger.Trigger{ID: "1", Market: "SE", Due: []trigger.Due{due1("b", 1), due1("a", 5)}},
		trigger.Trigger{ID: "2", Market: "SE", Due: []trigger.Due{due1("b", 3)}, Top: []trigger.TrackCount{{Track: "x", Plays: 7}}},
		trigger.Trigger{ID: "3", Market: "SE", Due: []trigger.Due{due1("a", 4), due1("b", 2), due1("c", 1)}},
		trigger.Trigger{ID: "4", Market: "SE", Due: []trigger.Due{due1("c", 1)}},
	)
	ms := func(s int) time.Time { return at(s).Truncate(time.Millisecond) }
	want := plan{market: "SE", due: []due{
		{shelf: "a", asOf: ms(5), trigger: "1"},
		{shelf: "b", asOf: ms(3), trigger: "2", top: []shelf.Count{{ID: "x", Plays: 7}}},
		{shelf: "c", asOf: ms(1), trigger: "4"},
	}}
	if diff := cmp.Diff(want, p, cmp.AllowUnexported(plan{}, due{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	a := newAttempts(3)
	it := func(id int, counted int) item {
		return item{t: trigger.Trigger{ID: fmt.Sprint(id)}, d: bus.Delivery{Attempt: counted}}
	}
	if got := a.failed(it(1, 4)); got != 4 || len(a.n) != 0 {
		t.Errorf("a bus that counts: got %d, and %d remembered; want 4 and none", got, len(a.n))
	}
	for want := 1; want <= 3; want++ {
		if got := a.failed(it(1, 0)); got != want {
			t.Errorf("a bus that does not: got %d, want %d", got, want)
		}
	}
	a.forget(it(1, 0))
	if got := a.failed(it(1, 0)); got != 1 {
		t.Errorf("after a success: got %d, want 1", got)
	}
	for id := range 100 {
		a.failed(it(id, 0))
		if len(a.n) > 3 {
			t.Fatalf("%d remembered, want at most 3", len(a.n))
		}
	}
}
