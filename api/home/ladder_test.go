package home_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api/home"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func TestLadder(t *testing.T) {
	one, err := proto.Marshal(&shelfpb.Shelf{AsOf: timestamppb.New(now), Cards: []*shelfpb.Card{{Uri: "track:a"}}})
	if err != nil {
		t.Fatal(err)
	}
	cell := func(age time.Duration) store.Cell { return store.Cell{AsOf: now.Add(-age), Data: one} }
	broken := store.Cell{AsOf: now, Data: []byte{0}}
	for _, c := range []struct {
		name  string
		rungs home.Rungs
		want  shelfpb.Status
		age   time.Duration
	}{
		{"made for this request", home.Rungs{Newest: cell(2 * time.Hour), Made: true}, shelfpb.Status_ON_DEMAND, 2 * time.Hour},
		{"young, the store away", home.Rungs{Newest: cell(time.Minute), Stale: true}, shelfpb.Status_LAST_GOOD, time.Minute},
		{"as old as the editors allow", home.Rungs{Newest: cell(time.Minute), MaxAge: time.Minute, Default: one}, shelfpb.Status_FRESH, time.Minute},
		{"older than the editors allow", home.Rungs{Newest: cell(time.Minute + 1), MaxAge: time.Minute, Default: one}, shelfpb.Status_DEFAULT, 0},
		{"as old as promised", home.Rungs{Newest: cell(time.Hour)}, shelfpb.Status_FRESH, time.Hour},
		{"older than promised", home.Rungs{Newest: cell(time.Hour + 1)}, shelfpb.Status_LAST_GOOD, time.Hour + 1},
		{"old, with a default", home.Rungs{Newest: cell(2 * time.Hour), Default: one}, shelfpb.Status_LAST_GOOD, 2 * time.Hour},
		{"ahead of this clock", home.Rungs{Newest: cell(-time.Minute)}, shelfpb.Status_FRESH, 0},
		{"too few cards", home.Rungs{Newest: cell(0), MinCards: 2, Default: one}, shelfpb.Status_DEFAULT, 0},
		{"no cell", home.Rungs{Default: one}, shelfpb.Status_DEFAULT, 0},
		{"no cell, no default", home.Rungs{}, shelfpb.Status_LEFT_OUT, 0},
		{"broken", home.Rungs{Newest: broken, Default: one}, shelfpb.Status_DEFAULT, 0},
		{"broken, no default", home.Rungs{Newest: broken}, shelfpb.Status_LEFT_OUT, 0},
	} {
		c.rungs.Now, c.rungs.GoodFor = now, time.Hour
		got := home.Ladder(c.rungs)
		if got.Status != c.want || got.Age != c.age {
			t.Errorf("%s: %v aged %v, want %v aged %v", c.name, got.Status, got.Age, c.want, c.age)
		}
		if (got.Broken != nil) != strings.HasPrefix(c.name, "broken") || (got.Body == nil) != (c.want == shelfpb.Status_LEFT_OUT) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
