package tally_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/songsplayed/tally"
)

func TestTop(t *testing.T) {
	var p tally.Pool
	for range 2 { // the second time perhaps in memory that was used before
		one := p.Get()
		for _, play := range []struct {
			id string
			ms int64
		}{{"a", 5}, {"b", 3}, {"a", 9}, {"c", 9}, {"d", 9}, {"a", 2}} {
			one.Of([]byte(play.id)).Add(1, play.ms, play.ms)
		}
		want := []tally.Count{{"a", 3, 2, 9}, {"c", 1, 9, 9}, {"d", 1, 9, 9}, {"b", 1, 3, 3}}
		if diff := cmp.Diff(want[:3], one.Top(3)); diff != "" {
			t.Errorf("three (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, one.Top(10)); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		p.Put(one)
	}
}

// TestLarge holds that more ids than a Tally is kept for are counted as well.
func TestLarge(t *testing.T) {
	var p tally.Pool
	for range 2 {
		one := p.Get()
		for i := range 10_000 {
			one.Of(fmt.Append(nil, i%5000)).Add(1, int64(i), int64(i))
		}
		if n := len(one.Counts()); n != 5000 {
			t.Errorf("%d ids, want 5000", n)
		}
		if top := one.Top(1); top[0].ID != "4999" || top[0].Plays != 2 {
			t.Errorf("the first is %v, want 4999 with two plays", top)
		}
		p.Put(one)
	}
}
