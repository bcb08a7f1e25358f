package songsplayed_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/pipeline/event"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/songsplayedpb"
)

// TestErase holds that what is erased is gone for good, that late events stay unseen, and that nothing else is touched.
func TestErase(t *testing.T) {
	conn := connect(t, songsplayed.Options{Table: memoryTable(t)})
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
	deleted, left, err := c.Erase(t.Context(), "ann", at(2000))
	if err != nil || deleted != 4 || left != 0 {
		t.Fatalf("%d deleted, %d left, %v; want 4 and 0", deleted, left, err)
	}
	if got := count("ann"); got != [4]int{1, 0, 0, 1} {
		t.Errorf("after erasing: %v, want the play behind it", got)
	}
	record(happened(event.Played, "ann", "late", 1999), happened(event.Hearted, "ann", "late", 2000), happened(event.Followed, "ann", "new", 2001))
	if got := count("ann"); got != [4]int{1, 0, 1, 1} {
		t.Errorf("after late events: %v", got)
	}
	if _, _, err := c.Erase(t.Context(), "ann", at(500)); err != nil { // an older one that comes late
		t.Fatal(err)
	}
	if got := count("ann"); got != [4]int{1, 0, 1, 1} {
		t.Errorf("after an older erasure: %v", got)
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
	if deleted, left, err = c.Erase(t.Context(), "ann", at(2000)); err != nil || deleted != 2 || left != 0 {
		t.Errorf("again: %d, %d, %v; want the 2 late ones deleted", deleted, left, err)
	}
	if got := count("ann2"); got != [4]int{3, 1, 1, 3} {
		t.Errorf("another listener: %v", got)
	}
	if _, _, err := c.Erase(t.Context(), "a#b", at(1)); err == nil {
		t.Error("a bad id was taken")
	}
	_, err = songsplayedpb.NewSongsPlayedClient(conn).Erase(t.Context(), &songsplayedpb.EraseRequest{User: "ann"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a time: %v", err)
	}
}
