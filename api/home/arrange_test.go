package home_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"homefeed/api/home"
	"homefeed/api/placement"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

func noCards(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

func testShelves() []*shelf.Shelf {
	return []*shelf.Shelf{
		{Name: "recent", Doc: "D.", Recalls: true, Fill: noCards, Guard: shelf.Guard{GoodFor: time.Hour}},
		{Name: "like", Doc: "D.", Title: "More like {artist}", Fill: noCards},
		{Name: "discover", Doc: "D.", Fill: noCards},
		{Name: "trending", Doc: "D.", Scope: shelf.Market, Fill: noCards},
	}
}

// cell makes a row's cell; a card is "id" or "id/artist".
func cell(t rapid.TB, name string, age time.Duration, cards ...string) store.Cell {
	t.Helper()
	m := &shelfpb.Shelf{TitleArgs: map[string]string{"artist": "Mozart"}}
	for _, c := range cards {
		id, artist, _ := strings.Cut(c, "/")
		card := &shelfpb.Card{Uri: "track:" + id, Title: id}
		if artist != "" {
			card.Artist = "artist:" + artist
		}
		m.Cards = append(m.Cards, card)
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return store.Cell{Shelf: name, AsOf: now.Add(-age), Data: data}
}

func row(cells ...store.Cell) home.Source { return home.Source{Row: store.Row{Cells: cells}} }

func config(t testing.TB, places ...placement.Placement) *home.Config {
	t.Helper()
	c, err := home.NewConfig(placement.Placements{Shelves: places}, testShelves())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shown is Home as "shelf STATUS: id id".
func shown(h *home.Home) []string {
	lines := []string{}
	for _, s := range h.Shelves {
		line := s.Name + " " + s.Rung.Status.String() + ":"
		for _, c := range s.Cards {
			line += " " + strings.TrimPrefix(string(c.URI), "track:")
		}
		lines = append(lines, line)
	}
	return lines
}

func card(id string) *shelfpb.Card { return &shelfpb.Card{Uri: "track:" + id, Title: id} }

func hide(uri string) store.Cell {
	return store.Cell{Shelf: home.HiddenColumn(uri), AsOf: now, Data: []byte(uri)}
}

// TestArrange holds what each rule does to one Home.
func TestArrange(t *testing.T) {
	yesterday, tomorrow := now.Add(-24*time.Hour), now.Add(24*time.Hour)
	minute := func(name string, cards ...string) store.Cell { return cell(t, name, time.Minute, cards...) }
	for _, c := range []struct {
		name   string
		places []placement.Placement
		source home.Source
		viewer home.Viewer
		want   []string
	}{
		{
			name:   "nothing there",
			places: []placement.Placement{{Shelf: "like"}, {Shelf: "discover", DefaultCards: placement.Cards{card("d")}}},
			want:   []string{"like LEFT_OUT:", "discover DEFAULT: d"},
		},
		{
			name:   "discovery leaves out what stands above, recall does not",
			places: []placement.Placement{{Shelf: "like"}, {Shelf: "discover"}, {Shelf: "recent"}},
			source: row(minute("discover", "a", "b", "c"), minute("like", "b"), minute("recent", "a", "b", "d")),
			want:   []string{"like FRESH: b", "discover FRESH: a c", "recent FRESH: a b d"},
		},
		{
			name: "the editors' rule comes before the shelf's",
			places: []placement.Placement{{Shelf: "like"}, {Shelf: "discover", Repeat: placement.RepeatAllowed},
				{Shelf: "recent", Repeat: placement.RepeatNever}},
			source: row(minute("discover", "a", "b"), minute("like", "b"), minute("recent", "a", "d")),
			want:   []string{"like FRESH: b", "discover FRESH: a b", "recent FRESH: d"},
		},
		{
			name:   "no shelf has a card twice",
			places: []placement.Placement{{Shelf: "recent"}},
			source: row(minute("recent", "a", "b", "a")),
			want:   []string{"recent FRESH: a b"},
		},
		{
			name:   "spare cards fill up",
			places: []placement.Placement{{Shelf: "like", MaxCards: 1}, {Shelf: "discover", MaxCards: 2}},
			source: row(minute("discover", "a", "b", "c", "d"), minute("like", "b", "c")),
			want:   []string{"like FRESH: b", "discover FRESH: a c"},
		},
		{
			name:   "too few left means the next rung",
			places: []placement.Placement{{Shelf: "like"}, {Shelf: "discover", MinCards: 2, DefaultCards: placement.Cards{card("a"), card("x")}}},
			source: row(minute("discover", "a", "b"), minute("like", "b")),
			want:   []string{"like FRESH: b", "discover DEFAULT: a x"},
		},
		{
			name:   "what a rung was passed over with stays free",
			places: []placement.Placement{{Shelf: "like", MinCards: 3}, {Shelf: "discover"}},
			source: row(minute("discover", "a"), minute("like", "a", "b")),
			want:   []string{"like LEFT_OUT:", "discover FRESH: a"},
		},
		{
			name:   "hidden tracks and artists",
			places: []placement.Placement{{Shelf: "recent"}, {Shelf: "discover", DefaultCards: placement.Cards{card("h")}}},
			source: row(hide("track:h"), hide("artist:z"), minute("recent", "a", "h", "b/z", "c/y")),
			want:   []string{"recent FRESH: a c", "discover LEFT_OUT:"},
		},
		{
			name:   "hidden and shown again",
			places: []placement.Placement{{Shelf: "recent"}},
			source: row(store.Cell{Shelf: home.HiddenColumn("track:a"), AsOf: now}, hide("track:b"), minute("recent", "a", "b")),
			want:   []string{"recent FRESH: a"},
		},
		{
			name:   "blocks of one shelf",
			places: []placement.Placement{{Shelf: "discover", Blocks: []string{"track:a", "artist:z"}}, {Shelf: "recent"}},
			source: row(minute("discover", "a", "b/z", "c"), minute("recent", "a", "b/z")),
			want:   []string{"discover FRESH: c", "recent FRESH: a b"},
		},
		{
			name:   "pins come first, with a row and without",
			places: []placement.Placement{{Shelf: "like", Pins: placement.Cards{card("p")}}, {Shelf: "discover", Pins: placement.Cards{card("q")}}},
			source: row(minute("like", "a", "p")),
			want:   []string{"like FRESH: p a", "discover DEFAULT: q"},
		},
		{
			name: "where and when",
			places: []placement.Placement{
				{Shelf: "recent", Markets: []string{"SE"}, Platforms: []string{"ios"}, From: yesterday, To: tomorrow},
				{Shelf: "like", Markets: []string{"NO"}}, {Shelf: "discover", Platforms: []string{"web"}}, {Shelf: "trending", To: now},
			},
			viewer: home.Viewer{Market: "SE", Platform: "ios"},
			want:   []string{"recent LEFT_OUT:"},
		},
		{
			name:   "from the very moment",
			places: []placement.Placement{{Shelf: "recent", From: now}, {Shelf: "like", From: now.Add(1)}},
			want:   []string{"recent LEFT_OUT:"},
		},
		{
			name:   "a market, and the world for what it lacks",
			places: []placement.Placement{{Shelf: "trending"}},
			source: home.Source{Markets: []store.Row{{}, {Cells: []store.Cell{minute("trending", "w")}}}},
			want:   []string{"trending FRESH: w"},
		},
		{
			name:   "older than the editors allow",
			places: []placement.Placement{{Shelf: "recent", MaxAgeSeconds: 30}, {Shelf: "like", MaxAgeSeconds: 90}},
			source: row(minute("like", "a"), minute("recent", "b")),
			want:   []string{"recent LEFT_OUT:", "like FRESH: a"},
		},
		{
			name:   "old by its own promise, made, and out of reach",
			places: []placement.Placement{{Shelf: "recent"}},
			source: row(cell(t, "recent", 2*time.Hour, "a")),
			want:   []string{"recent LAST_GOOD: a"},
		},
		{
			name:   "made for this request",
			places: []placement.Placement{{Shelf: "recent"}},
			source: home.Source{Row: store.Row{Cells: []store.Cell{minute("recent", "a")}}, Made: true},
			want:   []string{"recent ON_DEMAND: a"},
		},
		{
			name:   "the store out of reach",
			places: []placement.Placement{{Shelf: "recent"}},
			source: home.Source{Row: store.Row{Cells: []store.Cell{minute("recent", "a")}}, Stale: true},
			want:   []string{"recent LAST_GOOD: a"},
		},
	} {
		c.viewer.Now = now
		got := shown(config(t, c.places...).Arrange(c.source, c.viewer, home.Page{}))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestAudience holds that a share is a share, and that raising it keeps those who were in it.
func TestAudience(t *testing.T) {
	seen := map[int]map[string]bool{}
	for _, percent := range []int{10, 30} {
		c := config(t, placement.Placement{Shelf: "recent", AudiencePercent: percent})
		seen[percent] = map[string]bool{}
		for i := range 2000 {
			user := fmt.Sprint("listener-", i)
			if len(c.Arrange(home.Source{}, home.Viewer{User: user, Now: now}, home.Page{}).Shelves) > 0 {
				seen[percent][user] = true
			}
		}
		if n := len(seen[percent]); n < percent*17 || n > percent*23 {
			t.Errorf("%d%%: %d of 2000", percent, n)
		}
	}
	for user := range seen[10] {
		if !seen[30][user] {
			t.Errorf("%s is among 10%% and not among 30%%", user)
		}
	}
}

func TestTitlesByLocale(t *testing.T) {
	c := config(t, placement.Placement{Shelf: "like", Title: "Like {artist}", PlainTitle: "Alike",
		Titles: map[string]string{"sv": "Som {artist}", "de": "Ähnliches"}, PlainTitles: map[string]string{"sv": "Liknande", "fr": "Pareil"}})
	for locale, want := range map[string][2]string{ // with a row and without
		"": {"Like Mozart", "Alike"}, "en-GB": {"Like Mozart", "Alike"}, "sv": {"Som Mozart", "Liknande"},
		"sv-SE": {"Som Mozart", "Liknande"}, "de-CH-1996": {"Ähnliches", "Ähnliches"}, "fr": {"Like Mozart", "Pareil"},
	} {
		v := home.Viewer{Locale: locale, Now: now}
		with := string(c.Arrange(row(cell(t, "like", 0, "a")), v, home.Page{}).Shelves[0].Title)
		without := string(c.Arrange(home.Source{}, v, home.Page{}).Shelves[0].Title)
		if with != want[0] || without != want[1] {
			t.Errorf("%q: %q and %q, want %q", locale, with, without, want)
		}
	}
}

// TestUntil holds that Home says when it will be another by itself.
func TestUntil(t *testing.T) {
	c := config(t, placement.Placement{Shelf: "recent"}, placement.Placement{Shelf: "like", From: now.Add(3 * time.Hour)})
	until := func(src home.Source, at time.Time) time.Duration {
		h := c.Arrange(src, home.Viewer{Now: at}, home.Page{})
		if h.Until.IsZero() {
			return 0
		}
		return h.Until.Sub(at)
	}
	fresh := row(cell(t, "recent", 0, "a")) // good for an hour
	for _, x := range []struct {
		name string
		at   time.Time
		src  home.Source
		want time.Duration
	}{
		{"fresh", now, fresh, time.Hour + 1},
		{"old: its age is shown", now.Add(2 * time.Hour), fresh, time.Second},
		{"scheduled", now.Add(2 * time.Hour), home.Source{}, time.Hour},
		{"never", now.Add(4 * time.Hour), home.Source{}, 0},
	} {
		if got := until(x.src, x.at); got != x.want {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
}

// TestPages pages through any Home, with new generations coming in between, and holds that no card is shown twice
// where the shelf may not repeat, that no shelf is, and that without new generations nothing is lost.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, age time.Duration) store.Cell {
			ids := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 12).Draw(t, name)
			cards := make([]string, len(ids))
			for i, id := range ids {
				cards[i] = fmt.Sprint(id)
			}
			return cell(t, name, age, cards...)
		}
		src := row(draw("discover", time.Minute), draw("like", time.Minute), draw("recent", time.Minute))
		c, err := home.NewConfig(placement.Placements{}, testShelves())
		if err != nil {
			t.Fatal(err)
		}
		v := home.Viewer{Now: now}
		whole := c.Arrange(src, v, home.Page{})
		var pages []string
		once := map[string]bool{}
		page := home.Page{Size: rapid.IntRange(1, 4).Draw(t, "size"), Skip: map[string]bool{}}
		changed := false
		for {
			h := c.Arrange(src, v, page)
			pages = append(pages, shown(h)...)
			for _, s := range h.Shelves {
				if page.Skip[s.Name] {
					t.Fatalf("shelf %s twice", s.Name)
				}
				page.Skip[s.Name] = true
				for _, card := range s.Cards {
					if s.Name != "recent" && once[string(card.URI)] {
						t.Fatalf("%s twice", card.URI)
					}
					once[string(card.URI)] = true
				}
			}
			if !h.More {
				break
			}
			page.AsOf, page.Shown = h.AsOf, map[uint32]bool{}
			for _, hash := range h.Shown {
				page.Shown[hash] = true
			}
			if rapid.Bool().Draw(t, "new generations") {
				changed = true // and the old ones are gone
				src = row(draw("discover", 0), draw("like", 0), draw("recent", 0))
			}
		}
		if diff := cmp.Diff(shown(whole), pages); diff != "" && !changed {
			t.Fatalf("the pages are not the whole (-whole +pages):\n%s", diff)
		}
	})
}

// TestPinned holds that a later page shows the generation of the first, and says that there is a newer one.
func TestPinned(t *testing.T) {
	c := config(t)
	old, young := cell(t, "like", time.Minute, "old"), cell(t, "like", 0, "young")
	page := home.Page{AsOf: map[string]time.Time{"like": old.AsOf}}
	h := c.Arrange(row(young, old), home.Viewer{Now: now}, page)
	if got := string(h.Shelves[1].Cards[0].URI); got != "track:old" || !h.Newer {
		t.Errorf("%s, newer %t", got, h.Newer)
	}
	if h = c.Arrange(row(old), home.Viewer{Now: now}, page); h.Newer {
		t.Error("the pinned generation is the newest, and Newer says otherwise")
	}
	if h = c.Arrange(row(young), home.Viewer{Now: now}, page); string(h.Shelves[1].Cards[0].URI) != "track:young" {
		t.Error("where the generation is gone, want the newest")
	}
}
