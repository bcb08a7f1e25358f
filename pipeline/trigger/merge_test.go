package trigger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/trigger"
)

func TestMerge(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	run := func(shelf string, first, last, n int64) trigger.Due {
		return trigger.Due{Shelf: shelf, Count: n,
			First: trigger.Ref{ID: at(first).String(), Time: at(first)}, Last: trigger.Ref{ID: at(last).String(), Time: at(last)}}
	}
	listener := func(user string, fire int64, due ...trigger.Due) trigger.Trigger {
		return trigger.Trigger{User: user, FireTime: at(fire), Cause: trigger.Streaming, Due: due}.WithID()
	}
	market := func(end, plays int64) trigger.Trigger {
		return trigger.Trigger{Market: "SE", FireTime: at(end), Due: []trigger.Due{run("trending", end, end, 1)},
			Top: []trigger.TrackCount{{Track: "t", Plays: plays}}}.WithID()
	}
	got := trigger.Merge([]trigger.Trigger{
		listener("ada", 12, run("recent", 10, 11, 2)),
		market(60, 1),
		listener("bo", 13, run("recent", 11, 11, 1)),
		listener("ada", 25, run("recent", 20, 24, 3), run("heavy", 10, 24, 5)),
		market(120, 2),
		market(60, 3), // late: an older window never replaces a newer one
		listener("ada", 7, run("recent", 5, 5, 1)), // late: its event comes before the others
	})
	ada := listener("ada", 7, run("recent", 5, 24, 6), run("heavy", 10, 24, 5))
	ada.ID = ""
	want := []trigger.Trigger{
		ada,
		market(120, 2),
		listener("bo", 13, run("recent", 11, 11, 1)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
}
