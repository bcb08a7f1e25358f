package songsplayed_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/pipeline/event"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/songsplayedpb"
)

// TestErase holds that what is erased is gone for good, that late events stay unseen, and that nothing else is touched.
func TestErase(t *testing.T) {
	t.Run("one of several servers", func(t *testing.T) { testErase(t, false) })
	t.Run("alone", func(t *testing.T) { testErase(t, true) })
}

func testErase(t *testing.T, alone bool) {
	table := memoryTable(t)
	conn := connect(t, songsplayed.Options{Table: table, Alone: alone})
	c := songsplayed.NewClient(conn)
	record := func(events ...event.Event) {
		t.Helper()
		if err := c.Record(t.Context(), events); err != nil {
			t.Fatal(err)
		}
	}
	// count is how many plays, hearts and follows the listener has, and counted plays.
	count := func(user string) (n [4]int) {
		t.Helper()
		asked := c.For(user, at(1_000_000))
		plays, err := asked.Recent(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		hearts, err := asked.Hearts(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		follows, err := asked.Follows(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		top, err := asked.TopTracks(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		return [4]int{len(plays), len(hearts), len(follows), len(top)}
	}
	for _, user := range []string{"ann", "ann2"} {
		record(happened(event.Played, user, "a", 1000), happened(event.Played, user, "b", 2000), happened(event.Hearted, user, "a", 1500),
			happened(event.Followed, user, "c", 1700), happened(event.Played, user, "d", 3000))
	}
	upTo, deleted, left, err := c.Erase(t.Context(), "ann", at(2000), 0)
	if err != nil || deleted != 4 || left != 0 || !upTo.Equal(at(2000)) {
		t.Fatalf("%d deleted, %d left up to %v, %v; want 4 and 0", deleted, left, upTo, err)
	}
	if got := count("ann"); got != [4]int{1, 0, 0, 1} {
		t.Errorf("after erasing: %v, want the play behind it", got)
	}
	record(happened(event.Played, "ann", "late", 1999), happened(event.Hearted, "ann", "late", 2000), happened(event.Followed, "ann", "new", 2001))
	if got := count("ann"); got != [4]int{1, 0, 1, 1} {
		t.Errorf("after late events: %v", got)
	}
	if _, _, _, err := c.Erase(t.Context(), "ann", at(500), 0); err != nil { // an older one that comes late
		t.Fatal(err)
	}
	if got := count("ann"); got != [4]int{1, 0, 1, 1} {
		t.Errorf("after an older erasure: %v", got)
	}
	c = songsplayed.NewClient(connect(t, songsplayed.Options{Table: table, Alone: alone})) // the next process
	record(happened(event.Played, "ann", "later-still", 1998))
	if got := count("ann"); got != [4]int{1, 0, 1, 1} {
		t.Errorf("after a restart: %v", got)
	}
	var exported []string
	for p, err := range c.Everybody(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		exported = append(exported, p.Track)
	}
	slices.Sort(exported)
	if !slices.Equal(exported, []string{"a", "b", "d", "d"}) {
		t.Errorf("everybody's plays: %q, want ann's d and ann2's a, b and d", exported)
	}
	if _, deleted, left, err = c.Erase(t.Context(), "ann", at(2000), 0); err != nil || deleted+left != 0 {
		t.Errorf("again: %d, %d, %v; the late ones should not have been kept", deleted, left, err)
	}
	if got := count("ann2"); got != [4]int{3, 1, 1, 3} {
		t.Errorf("another listener: %v", got)
	}
	if _, _, _, err := c.Erase(t.Context(), "a#b", at(1), 0); err == nil {
		t.Error("a bad id was taken")
	}
	_, err = songsplayedpb.NewSongsPlayedClient(conn).Erase(t.Context(), &songsplayedpb.EraseRequest{User: "ann"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a time: %v", err)
	}
}

// TestEraseAhead holds that what a clock that runs ahead has dated later goes too, and that what follows counts at once.
func TestEraseAhead(t *testing.T) {
	c := songsplayed.NewClient(connect(t, songsplayed.Options{Table: memoryTable(t)}))
	record := func(user string, times ...int64) {
		t.Helper()
		for _, ms := range times {
			if err := c.Record(t.Context(), []event.Event{happened(event.Played, user, "a", ms)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	record("ann", 1000, 4000, 9000)
	record("bob", 1000, 2000)
	for user, want := range map[string]struct{ upTo, deleted, next int64 }{
		"ann": {4000, 2, 4001}, // 9000 is too far ahead to be a clock's
		"bob": {2000, 2, 2001},
	} {
		upTo, deleted, left, err := c.Erase(t.Context(), user, at(2000), 3*time.Second)
		if err != nil || !upTo.Equal(at(want.upTo)) || deleted != want.deleted || left != 0 {
			t.Errorf("%s: up to %v, %d deleted, %d left, %v", user, upTo, deleted, left, err)
		}
		record(user, want.next)
		plays, err := c.For(user, at(want.next)).Recent(t.Context(), 10)
		if err != nil || len(plays) != 1 || !plays[0].Time.Equal(at(want.next)) {
			t.Errorf("%s: the first play after it: %v, %v", user, plays, err)
		}
	}
	if _, _, _, err := c.Erase(t.Context(), "ann", at(1), -1); err == nil {
		t.Error("ahead below 0 was taken")
	}
}

// TestEraseWhileRecording holds that whatever is recorded by two servers while a third erases, nothing of that time is
// kept once all have answered, and everything later is.
func TestEraseWhileRecording(t *testing.T) {
	t.Run("three servers", func(t *testing.T) {
		table := memoryTable(t)
		var servers [3]*songsplayed.Client
		for i := range servers {
			servers[i] = songsplayed.NewClient(connect(t, songsplayed.Options{Table: table}))
		}
		testEraseWhileRecording(t, table, servers)
	})
	t.Run("alone", func(t *testing.T) {
		table := memoryTable(t)
		c := songsplayed.NewClient(connect(t, songsplayed.Options{Table: table, Alone: true}))
		testEraseWhileRecording(t, table, [3]*songsplayed.Client{c, c, c})
	})
}

func testEraseWhileRecording(t *testing.T, table songsplayed.Table, servers [3]*songsplayed.Client) {
	const users, plays = 20, 20
	var wg sync.WaitGroup
	for u := range users {
		user := fmt.Sprintf("user-%d", u)
		for _, c := range servers[:2] {
			wg.Go(func() {
				for i := range plays {
					batch := []event.Event{happened(event.Played, user, "old", int64(1000+i)), happened(event.Hearted, user, "new", int64(3000+i))}
					if err := c.Record(t.Context(), batch); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			if _, _, _, err := servers[2].Erase(t.Context(), user, at(2000), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var stored [2]int
	err := table.Scan(t.Context(), []byte("u#"), []byte("u$"), 1_000_000, func(key []byte) bool {
		switch {
		case bytes.HasSuffix(key, []byte("#old")):
			stored[0]++
		case bytes.HasSuffix(key, []byte("#new")):
			stored[1]++
		}
		return true
	})
	if err != nil || stored != [2]int{0, users * plays} {
		t.Errorf("%d erased and %d later actions are stored, %v; want none and %d", stored[0], stored[1], err, users*plays)
	}
}

// TestEraseCounts holds that an erasure says what it found, though a late action that is recorded after its mark, and
// before it deletes, removes all of it.
func TestEraseCounts(t *testing.T) {
	table := memoryTable(t)
	phone := songsplayed.NewClient(connect(t, songsplayed.Options{Table: table}))
	record := func(track string, ms int64) {
		if err := phone.Record(t.Context(), []event.Event{happened(event.Played, "ann", track, ms)}); err != nil {
			t.Error(err)
		}
	}
	record("a", 1000)
	record("b", 1001)
	marked := markedTable{table, func() { record("late", 500) }}
	upTo, deleted, left, err := songsplayed.NewClient(connect(t, songsplayed.Options{Table: marked})).Erase(t.Context(), "ann", at(2000), 0)
	if err != nil || deleted != 2 || left != 0 || !upTo.Equal(at(2000)) {
		t.Errorf("%d deleted, %d left up to %v, %v; want 2 and 0", deleted, left, upTo, err)
	}
}

// markedTable calls marked once a mark of an erasure is stored.
type markedTable struct {
	songsplayed.Table
	marked func()
}

func (t markedTable) Put(ctx context.Context, rows []songsplayed.Row) error {
	err := t.Table.Put(ctx, rows)
	if err == nil && bytes.HasSuffix(rows[0].Key, []byte("#all")) {
		t.marked()
	}
	return err
}
