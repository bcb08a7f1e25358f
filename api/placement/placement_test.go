package placement_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api/placement"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

func testShelves() []*shelf.Shelf {
	fill := func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }
	return []*shelf.Shelf{{Name: "discover", Doc: "D.", Fill: fill}, {Name: "again", Doc: "D.", Fill: fill}}
}

// whole has every field.
var whole = placement.Placement{
	Shelf: "discover", Title: "New from {artist}", Titles: map[string]string{"sv": "Nytt av {artist}", "pt-BR": "Novo"},
	PlainTitle: "New", PlainTitles: map[string]string{"sv": "Nytt"}, Component: placement.Grid,
	Markets: []string{"SE", "NO"}, Platforms: []string{"ios"}, AudiencePercent: 10,
	From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
	MinCards: 3, MaxCards: 10, MaxAgeSeconds: 3600, Repeat: placement.RepeatNever,
	Pins:         placement.Cards{{Uri: "track:p", Title: "P", Image: &shelfpb.Image{Template: "/p-{size}", Alt: "P"}}},
	Blocks:       []string{"track:b", "artist:c"},
	DefaultCards: placement.Cards{{Uri: "track:d", Title: "D"}},
}

// TestJSON holds that what is written is what was read, and that the smallest placement stays small.
func TestJSON(t *testing.T) {
	want := placement.Placements{Shelves: []placement.Placement{whole, {Shelf: "again"}}}
	written, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(written), `,{"shelf":"again"}]`) {
		t.Errorf("zero fields are written: %s", written)
	}
	got, err := placement.Read(strings.NewReader(string(written)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Validate(testShelves()); err != nil {
		t.Error(err)
	}
}

// TestValidate holds that every mistake is found, by the name of its field.
func TestValidate(t *testing.T) {
	for field, spoil := range map[string]func(*placement.Placement){
		"shelf":           func(p *placement.Placement) { p.Shelf = "nothing" },
		"title":           func(p *placement.Placement) { p.Title = "\xff" },
		"titles":          func(p *placement.Placement) { p.Titles["Swedish"] = "x" },
		"titles.sv":       func(p *placement.Placement) { p.Titles["sv"] = "" },
		"plainTitle":      func(p *placement.Placement) { p.PlainTitle = strings.Repeat("x", 201) },
		"plainTitles.de":  func(p *placement.Placement) { p.PlainTitles["de"] = "\xff" },
		"component":       func(p *placement.Placement) { p.Component = "huge" },
		"markets[1]":      func(p *placement.Placement) { p.Markets[1] = "sweden" },
		"platforms[0]":    func(p *placement.Placement) { p.Platforms[0] = "i OS" },
		"audiencePercent": func(p *placement.Placement) { p.AudiencePercent = 101 },
		"to":              func(p *placement.Placement) { p.To = p.From },
		"minCards":        func(p *placement.Placement) { p.MinCards, p.MaxCards = 21, 0 },
		"maxCards":        func(p *placement.Placement) { p.MaxCards = 2 },
		"maxAgeSeconds":   func(p *placement.Placement) { p.MaxAgeSeconds = -1 },
		"repeat":          func(p *placement.Placement) { p.Repeat = "maybe" },
		"pins[0].uri":     func(p *placement.Placement) { p.Pins = placement.Cards{{Uri: "x", Title: "P"}} },
		"pins":            func(p *placement.Placement) { p.Pins, p.MaxCards = make(placement.Cards, 21), 0 },
		"blocks[1]":       func(p *placement.Placement) { p.Blocks[1] = "album:x" },
		"defaultCards[0]": func(p *placement.Placement) { p.DefaultCards = placement.Cards{{Uri: "track:d"}} },
		"defaultCards[1].uri": func(p *placement.Placement) {
			p.DefaultCards = append(p.DefaultCards, &shelfpb.Card{Uri: "track:d", Title: "Again"})
		},
	} {
		data, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		var p placement.Placement
		if err := json.Unmarshal(data, &p); err != nil {
			t.Fatal(err)
		}
		spoil(&p)
		doc := placement.Placements{Shelves: []placement.Placement{{Shelf: "again"}, p}}
		err = doc.Validate(testShelves())
		var mistake *placement.FieldError
		if !errors.As(err, &mistake) || mistake.Field != "shelves[1]."+field || mistake.Want == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	twice := placement.Placements{Shelves: []placement.Placement{{Shelf: "again"}, {Shelf: "again"}, {Shelf: "x"}}}
	err := twice.Validate(testShelves())
	if err == nil || !strings.Contains(err.Error(), "shelves[1].shelf") || !strings.Contains(err.Error(), "shelves[2].shelf") {
		t.Errorf("%v, want both mistakes", err)
	}
}

func TestValidLocale(t *testing.T) {
	for tag, want := range map[string]bool{
		"sv": true, "pt-BR": true, "zh-Hant-TW": true, "es-419": true, "nds": true,
		"": false, "s": false, "SV": false, "sv_SE": false, "sv-": false, "english": false, "sv-ÅÄ": false,
	} {
		if got := placement.ValidLocale(tag); got != want {
			t.Errorf("ValidLocale(%q) = %t", tag, got)
		}
	}
}
