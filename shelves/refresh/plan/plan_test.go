package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

func TestOfMergesByShelf(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 12, 0, s, 999_999, time.UTC) }
	due1 := func(name string, s int) trigger.Due {
		return trigger.Due{Shelf: name, Last: trigger.Ref{Time: at(s)}}
	}
	p := Of(
		trigger.Trigger{ID: "1", Market: "SE", Due: []trigger.Due{due1("b", 1), due1("a", 5)}},
		trigger.Trigger{ID: "2", Market: "SE", Due: []trigger.Due{due1("b", 3)}, Top: []trigger.TrackCount{{Track: "x", Plays: 7}}},
		trigger.Trigger{ID: "3", Market: "SE", Due: []trigger.Due{due1("a", 4), due1("b", 2), due1("c", 1)}},
		trigger.Trigger{ID: "4", Market: "SE", Due: []trigger.Due{due1("c", 1)}},
	)
	ms := func(s int) time.Time { return at(s).Truncate(time.Millisecond) }
	want := Plan{Market: "SE", Due: []Due{
		{Shelf: "a", AsOf: ms(5), Trigger: "1"},
		{Shelf: "b", AsOf: ms(3), Trigger: "2", Top: []shelf.Count{{ID: "x", Plays: 7}}},
		{Shelf: "c", AsOf: ms(1), Trigger: "4"},
	}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
