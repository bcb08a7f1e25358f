package api_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

func TestReadPlacements(t *testing.T) {
	got, err := api.ReadPlacements(strings.NewReader(`{"shelves":[
		{"shelf":"more_like","title":"Like {artist}","plainTitle":"Similar","minCards":3},
		{"shelf":"discover","defaultCards":[{"uri":"track:a","title":"A","image":{"template":"/a-{size}","colors":["#123456"],"alt":"A"}}]}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := api.Placements{Shelves: []api.Placement{
		{Shelf: "more_like", Title: "Like {artist}", PlainTitle: "Similar", MinCards: 3},
		{Shelf: "discover", DefaultCards: api.Cards{{Uri: "track:a", Title: "A",
			Image: &shelfpb.Image{Template: "/a-{size}", Colors: []string{"#123456"}, Alt: "A"}}}},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	written, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := api.ReadPlacements(strings.NewReader(string(written)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again, protocmp.Transform()); diff != "" {
		t.Errorf("written and read again (-want +got):\n%s", diff)
	}
}

// TestPlacementsRefused holds that a wrong placement is found at the start and its error names the field.
func TestPlacementsRefused(t *testing.T) {
	for want, file := range map[string]string{
		"unknown field":                 `{"shelfs":[]}`,
		"nothing behind it":             `{"shelves":[]}{}`,
		"cards[0]":                      `{"shelves":[{"shelf":"discover","defaultCards":[{"url":"x"}]}]}`,
		"shelves[0].shelf":              `{"shelves":[{"shelf":"nothing"}]}`,
		"shelves[1].shelf":              `{"shelves":[{"shelf":"discover"},{"shelf":"discover"}]}`,
		"shelves[0].minCards":           `{"shelves":[{"shelf":"discover","minCards":21}]}`,
		"shelves[0].defaultCards[0]":    `{"shelves":[{"shelf":"discover","defaultCards":[{"uri":"track:a"}]}]}`,
		"shelves[0].defaultCards: want": `{"shelves":[{"shelf":"discover","defaultCards":[` + strings.Repeat("{},", 100) + `{}]}]}`,
	} {
		p, err := api.ReadPlacements(strings.NewReader(file))
		if err == nil {
			_, err = api.New(api.Config{
				Rows: &rows{}, Bus: &publisher{}, Verifier: tokens{}, Shelves: testShelves(), Placements: p,
			})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", file, err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	whole := api.Config{Rows: &rows{}, Bus: &publisher{}, Verifier: tokens{}, Shelves: testShelves()}
	for want, spoil := range map[string]func(*api.Config){
		"Rows":           func(c *api.Config) { c.Rows = nil },
		"Bus":            func(c *api.Config) { c.Bus = nil },
		"Verifier":       func(c *api.Config) { c.Verifier = nil },
		"Shelves":        func(c *api.Config) { c.Shelves = nil },
		"declared twice": func(c *api.Config) { c.Shelves = append(testShelves(), testShelves()...) },
		"Doc": func(c *api.Config) {
			c.Shelves = []*shelf.Shelf{{Name: "x", Fill: func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }}}
		},
	} {
		c := whole
		spoil(&c)
		if _, err := api.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}

// TestTitles covers what a title may mention.
func TestTitles(t *testing.T) {
	args := map[string]string{"artist": "Mozart", "empty": "", "brace": "{artist}"}
	for title, want := range map[string]string{
		"Plain":                     "Plain",
		"More like {artist}":        "More like Mozart",
		"{artist}, {artist}":        "Mozart, Mozart",
		"{brace}":                   "{artist}",
		"Half {artist":              "Half {artist",
		"{nobody} and {artist}":     "Plain words",
		"nothing between {empty}":   "Plain words",
		"{}":                        "Plain words",
		"closed } before {artist}!": "closed } before Mozart!",
	} {
		s := &rows{}
		s.put(t, userKey(t, "ann"), "discover", now, args, "a")
		a := newAPI(t, api.Config{Rows: s, Placements: api.Placements{Shelves: []api.Placement{
			{Shelf: "discover", Title: title, PlainTitle: "Plain words"}}}})
		if got := getHome(t, a, "/v1/home").Shelves[0].Title; got != want {
			t.Errorf("%q became %q, want %q", title, got, want)
		}
	}
}

// TestSetPlacements swaps what a running API shows, whole or not at all.
func TestSetPlacements(t *testing.T) {
	a := newAPI(t, api.Config{})
	first := a.PlacementsVersion()
	next := api.Placements{Shelves: []api.Placement{{Shelf: "discover", Title: "New"}}}
	if err := a.SetPlacements(next); err != nil {
		t.Fatal(err)
	}
	second := a.PlacementsVersion()
	if home := getHome(t, a, "/v1/home"); len(home.Shelves) != 1 || home.Shelves[0].Title != "New" || second == first {
		t.Errorf("%v, versions %s and %s", home, first, second)
	}
	wrong := api.Placements{Shelves: []api.Placement{{Shelf: "recently_played"}, {Shelf: "nothing"}}}
	if err := a.SetPlacements(wrong); err == nil || !strings.Contains(err.Error(), "shelves[1].shelf") {
		t.Errorf("error %v, want one about shelves[1].shelf", err)
	}
	if home := getHome(t, a, "/v1/home"); len(home.Shelves) != 1 || a.PlacementsVersion() != second {
		t.Errorf("a refused document changed Home: %v", home)
	}
	if err := a.SetPlacements(api.Placements{}); err != nil || a.PlacementsVersion() != first {
		t.Errorf("without shelves: %v, version %s, want the default's %s", err, a.PlacementsVersion(), first)
	}
}
