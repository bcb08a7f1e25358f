package cms_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/cms"
	"homefeed/api/placement"
)

func TestChanges(t *testing.T) {
	base := placement.Placement{Shelf: "a", Title: "A", Titles: map[string]string{"sv": "Å"}, MinCards: 3, Markets: []string{"SE"}}
	change := func(spoil func(*placement.Placement)) placement.Placements {
		p := base
		spoil(&p)
		return placement.Placements{Shelves: []placement.Placement{p}}
	}
	one := placement.Placements{Shelves: []placement.Placement{base}}
	for name, c := range map[string]struct {
		from, to placement.Placements
		want     []cms.Change
	}{
		"nothing": {one, one, nil},
		"a field": {one, change(func(p *placement.Placement) { p.MinCards = 5 }), []cms.Change{{"shelves[a].minCards", "3", "5"}}},
		"a field that goes, one that comes": {one, change(func(p *placement.Placement) { p.MinCards, p.From = 0, noon }),
			[]cms.Change{{"shelves[a].minCards", "3", ""}, {"shelves[a].from", "", `"` + noon.Format(time.RFC3339) + `"`}}},
		"a locale": {one, change(func(p *placement.Placement) { p.Titles = map[string]string{"sv": "Ö", "de": "D"} }),
			[]cms.Change{{"shelves[a].titles.sv", `"Å"`, `"Ö"`}, {"shelves[a].titles.de", "", `"D"`}}},
		"a list":      {one, change(func(p *placement.Placement) { p.Markets = []string{"SE", "NO"} }), []cms.Change{{"shelves[a].markets", `["SE"]`, `["SE","NO"]`}}},
		"order":       {document("a", "b", "c"), document("c", "a", "b"), []cms.Change{{"shelves", `["a","b","c"]`, `["c","a","b"]`}}},
		"in and out":  {document("a", "b"), document("b", "c"), []cms.Change{{"shelves[a]", `{"shelf":"a"}`, ""}, {"shelves[c]", "", `{"shelf":"c"}`}}},
		"from none":   {placement.Placements{}, document("a"), []cms.Change{{"shelves[a]", "", `{"shelf":"a"}`}}},
		"shelf twice": {document("a"), document("a", "a"), []cms.Change{{"shelves", `[{"shelf":"a"}]`, `[{"shelf":"a"},{"shelf":"a"}]`}}},
	} {
		got, err := cms.Changes(c.from, c.to)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
