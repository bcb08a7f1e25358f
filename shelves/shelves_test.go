package shelves_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"homefeed/shelves"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
)

var update = flag.Bool("update", false, "write the golden files")

const day = 24 * time.Hour

// north, east and so on are vectors that point that way.
var (
	north     = []float32{0, 1}
	northeast = []float32{1, 2}
	east      = []float32{1, 0}
	south     = []float32{0, -1}
)

func TestAllAreWellDeclared(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range shelves.All() {
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
		if seen[s.Name] {
			t.Errorf("shelf %q is listed twice", s.Name)
		}
		seen[s.Name] = true
		// Events that no refresh has served hold the floor on the bus, so no shelf may wait for long.
		if f := s.Guard.WithDefaults().Freshness; f < 2*time.Second || f > time.Minute {
			t.Errorf("shelf %q: Freshness: want 2 s to 60 s, got %v", s.Name, f)
		}
		if s.Title == "" {
			t.Errorf("shelf %q: Title: want one, since no editor has given it another", s.Name)
		}
		// With signals of one event each, the rows do not depend on the order in which events come.
		for _, sig := range s.Signals() {
			if sig.AtLeast > 1 {
				t.Errorf("shelf %q: On: want AtLeast 1, got %d", s.Name, sig.AtLeast)
			}
		}
	}
}

func TestNobodyHasNoCards(t *testing.T) {
	for _, s := range shelves.All() {
		shelftest.Check(t, s, shelftest.World{}).WantURIs(t)
	}
}

func TestRecentlyPlayed(t *testing.T) {
	w := shelftest.World{Plays: shelftest.Played("mozart.k525", "haydn.h104", "unknown", "mozart.k525", "bach.bwv988")}
	got := shelftest.Check(t, shelves.RecentlyPlayed, w)
	got.WantURIs(t, "track:bach.bwv988", "track:mozart.k525", "track:haydn.h104")
	got.Golden(t, "recently_played", *update)
}

func TestRecentlyPlayedIsCutAtThirty(t *testing.T) {
	var played, want []string
	for i := range 40 {
		played = append(played, fmt.Sprintf("bach.bwv%d", i))
	}
	for i := range 30 {
		want = append(want, fmt.Sprintf("track:bach.bwv%d", 39-i))
	}
	shelftest.Check(t, shelves.RecentlyPlayed, shelftest.World{Plays: shelftest.Played(played...)}).WantURIs(t, want...)
}

func TestRecentlyPlayedKnowsNothingAfterAsOf(t *testing.T) {
	w := shelftest.World{Plays: shelftest.Played("mozart.k525", "haydn.h104", "mozart.k525")}
	w.AsOf = shelftest.Noon.Add(-time.Minute) // the second play's time is included, the third's is not
	shelftest.Check(t, shelves.RecentlyPlayed, w).WantURIs(t, "track:haydn.h104", "track:mozart.k525")
}

func TestHeavyRotation(t *testing.T) {
	w := shelftest.World{Plays: slices.Concat(
		shelftest.Times(3, "mozart.k525", 3*day),
		shelftest.Times(4, "haydn.h104", 20*day),
		shelftest.Times(3, "bach.bwv988", 2*day), // as often as Mozart, and later
		shelftest.Times(9, "verdi.aida", 31*day), // too long ago
		shelftest.Times(1, "orff.carmina", 30*day),
		shelftest.Times(1, "bizet.carmen", 30*day), // equal in all: by id
	)}
	got := shelftest.Check(t, shelves.HeavyRotation, w)
	got.WantURIs(t, "track:haydn.h104", "track:bach.bwv988", "track:mozart.k525", "track:bizet.carmen", "track:orff.carmina")
	got.Golden(t, "heavy_rotation", *update)
}

func TestHeavyRotationWindowIncludesBothEnds(t *testing.T) {
	begin := shelftest.Noon.Add(-30 * day)
	w := shelftest.World{Plays: []shelf.Play{
		{Track: "a.before", Time: begin.Add(-time.Millisecond)},
		{Track: "a.first", Time: begin},
		{Track: "a.last", Time: shelftest.Noon},
		{Track: "a.after", Time: shelftest.Noon.Add(time.Millisecond)},
	}}
	shelftest.Check(t, shelves.HeavyRotation, w).WantURIs(t, "track:a.last", "track:a.first")
}

func TestMoreLikeArtist(t *testing.T) {
	w := shelftest.World{
		Plays: slices.Concat(
			shelftest.Times(9, "verdi.aida", 8*day), // played most, but not lately
			shelftest.Times(2, "mozart.k525", day),
			shelftest.Times(2, "mozart.k550", day),
			shelftest.Times(3, "verdi.otello", 2*day),
		),
		Vectors: map[string][]float32{
			"mozart.k525": north, "mozart.k550": north, "mozart.k551": north,
			"haydn.h104": north, "bach.bwv988": northeast, "orff.carmina": south, "gone": north,
		},
	}
	got := shelftest.Check(t, shelves.MoreLikeArtist, w)
	got.WantURIs(t, "track:haydn.h104", "track:bach.bwv988")
	got.Golden(t, "more_like_artist", *update)
}

func TestMoreLikeArtistOfTracksTheModelDoesNotKnow(t *testing.T) {
	w := shelftest.World{Plays: shelftest.Played("mozart.k525"), Vectors: map[string][]float32{"haydn.h104": north}}
	shelftest.Check(t, shelves.MoreLikeArtist, w).WantURIs(t)
}

func TestBecauseYouHearted(t *testing.T) {
	w := shelftest.World{
		Hearts:  shelftest.Played("bach.bwv988", "mozart.k525", "new.unlearnt"),
		Vectors: map[string][]float32{"mozart.k525": north, "haydn.h104": northeast, "bach.bwv988": north, "orff.carmina": south},
	}
	got := shelftest.Check(t, shelves.BecauseYouHearted, w)
	got.WantURIs(t, "track:haydn.h104")
	got.Golden(t, "because_you_hearted", *update)
}

func TestFromArtistsYouFollow(t *testing.T) {
	w := shelftest.World{
		Follows: shelftest.Followed("mozart", "haydn", "nobody", "mozart"),
		Tracks: []shelf.Track{
			track("k525", "mozart"), track("k550", "mozart"), track("k551", "mozart"), track("h104", "haydn"), track("aida", "verdi"),
		},
	}
	got := shelftest.Check(t, shelves.FromArtistsYouFollow, w)
	got.WantURIs(t, "track:k525", "track:h104", "track:k550", "track:k551")
	got.Golden(t, "from_artists_you_follow", *update)
}

func TestJumpBackIn(t *testing.T) {
	w := shelftest.World{Plays: slices.Concat(
		shelftest.Times(5, "mozart.k525", 15*day),
		shelftest.Times(7, "haydn.h104", 400*day),
		shelftest.Times(4, "bach.bwv988", 15*day), // not loved enough
		shelftest.Times(9, "verdi.aida", 14*day),  // not away for long enough
		shelftest.Times(9, "orff.carmina", 90*day),
		shelftest.Times(1, "orff.carmina", day), // back already
	)}
	got := shelftest.Check(t, shelves.JumpBackIn, w)
	got.WantURIs(t, "track:haydn.h104", "track:mozart.k525")
	got.Golden(t, "jump_back_in", *update)
}

func TestDiscover(t *testing.T) {
	w := shelftest.World{
		Plays: slices.Concat(
			shelftest.Times(5, "mozart.k525", day),
			shelftest.Times(1, "orff.carmina", day),
			shelftest.Times(1, "haydn.h104", 999*day), // long ago, and played all the same
		),
		Vectors: map[string][]float32{
			"mozart.k525": north, "orff.carmina": east, "haydn.h104": north, "haydn.h103": north,
			"bach.bwv988": northeast, "bach.bwv1": east, "bach.bwv2": east, "verdi.aida": south,
		},
	}
	got := shelftest.Check(t, shelves.Discover, w)
	got.WantURIs(t, "track:haydn.h103", "track:bach.bwv988", "track:bach.bwv1")
	got.Golden(t, "discover", *update)
}

func TestTrending(t *testing.T) {
	w := shelftest.World{
		Market: "SE",
		Top:    []shelf.Count{{ID: "mozart.k525", Plays: 20}, {ID: "unknown", Plays: 3}, {ID: "haydn.h104", Plays: 2}, {ID: "verdi.aida", Plays: 1}},
	}
	got := shelftest.Check(t, shelves.Trending, w)
	got.WantURIs(t, "track:mozart.k525", "track:haydn.h104", "track:verdi.aida")
	got.Golden(t, "trending", *update)
	w.Market = shelf.World
	if got := shelftest.Check(t, shelves.Trending, w).Cards[0].Reason; got != "Played 20 times around the world lately" {
		t.Errorf("reason of the world's: got %q", got)
	}
}

func track(id, artist string) shelf.Track {
	return shelf.Track{ID: id, Title: "Title of " + id, Artist: artist, ArtistName: "Name of " + artist,
		Image: shelf.Image{Template: "/art/" + id + "/{size}", Alt: id}}
}
