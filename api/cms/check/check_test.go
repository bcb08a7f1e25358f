package check_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/cms/check"
	"homefeed/api/homepb"
	"homefeed/api/placement"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func shelves() []*shelf.Shelf {
	var all []*shelf.Shelf
	for _, name := range []string{"recent", "more", "new", "trending"} {
		all = append(all, &shelf.Shelf{Name: name, Title: map[string]string{"recent": "Recently played", "more": "More like {artist}"}[name], Doc: "D.", Fill: func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }})
	}
	return all
}

// rows is the cards that each shelf has for a listener.
var rows = map[string]map[string][]string{
	"ann": {"recent": {"track:1", "track:2"}, "more": {"track:2"}, "new": {"track:9"}},
	"bob": {"recent": {"track:1"}, "new": {"track:1"}},
}

// preview makes Home of rows, as far as the view shows the placements.
func preview(_ context.Context, v check.View, p placement.Placements) (*homepb.Home, error) {
	h := &homepb.Home{}
	for _, one := range p.Shelves {
		if len(one.Markets) > 0 && one.Markets[0] != v.Market || len(one.Platforms) > 0 && one.Platforms[0] != v.Platform ||
			one.From.After(v.At) || !one.To.IsZero() && !v.At.Before(one.To) {
			continue
		}
		s := &shelfpb.Shelf{Name: one.Shelf}
		for _, uri := range rows[v.User][one.Shelf] {
			s.Cards = append(s.Cards, &shelfpb.Card{Uri: uri})
		}
		h.Shelves = append(h.Shelves, s)
	}
	return h, nil
}

func checker() check.Checker {
	return check.Checker{
		Shelves: shelves(), Preview: preview,
		Sample: func(context.Context, int) ([]string, error) { return []string{"ann", "bob"}, nil },
	}
}

func texts(found []check.Finding) []string {
	var all []string
	for _, f := range found {
		severity := map[check.Severity]string{check.Warning: "warning", check.Error: "error"}[f.Severity]
		all = append(all, fmt.Sprintf("%s at %s: %s", severity, f.Field, f.Message))
	}
	return all
}

func TestCheck(t *testing.T) {
	type places = []placement.Placement
	for name, c := range map[string]struct {
		doc  places
		want []string
	}{
		"good":    {places{{Shelf: "recent"}}, nil},
		"nothing": {nil, []string{"error at shelves: want at least one placement: Home would be every shelf under its own title"}},
		"wrong fields, of which no Home is made": {places{{Shelf: "old"}, {Shelf: "more", AudiencePercent: 101, MinCards: 99}}, []string{
			`error at shelves[0].shelf: want the name of a shelf, have "old"`,
			"error at shelves[1].audiencePercent: want 0 to 100; 0 means all",
			"error at shelves[1].minCards: want 0 to 20, the most that the shelf ever has"}},
		"empty for some": {places{{Shelf: "recent"}, {Shelf: "trending"}, {Shelf: "more"}}, []string{
			"warning at shelves[1].shelf: it would be empty for 2 of 2 sampled listeners",
			"warning at shelves[2].shelf: it would be empty for 1 of 2 sampled listeners",
			"warning at shelves[2].shelf: it repeats cards of Recently played above it for 1 of 2 sampled listeners"}},
		"neighbours across an empty one": {places{{Shelf: "recent"}, {Shelf: "trending", Markets: []string{"SE"}}, {Shelf: "new"}}, []string{
			"warning at shelves[1].shelf: it would be empty for 2 of 2 sampled listeners",
			"warning at shelves[2].shelf: it repeats cards of Recently played above it for 1 of 2 sampled listeners"}},
		"locales": {places{
			{Shelf: "recent", Titles: map[string]string{"sv": "Nyss", "de-CH": "Eben {artist}"}, PlainTitles: map[string]string{"sv": "Nyss"}},
			{Shelf: "new", Titles: map[string]string{"de": "Neu"}, Markets: []string{"SE"}}}, []string{
			"warning at shelves[0].titles: no title in de: listeners there see the title without a locale",
			"warning at shelves[0].plainTitles: no plain title in de-CH: it is shown when there is nothing to fill the {names} in with",
			"warning at shelves[1].titles: no title in sv: listeners there see the title without a locale",
			"warning at shelves[1].shelf: it repeats cards of Recently played above it for 1 of 2 sampled listeners"}},
		"times": {places{{Shelf: "recent", To: noon}, {Shelf: "new", From: noon.Add(time.Hour), Platforms: []string{"ios"}}}, []string{
			"warning at shelves[0].to: the time is over: the shelf is not shown any more",
			"warning at shelves[0].shelf: none of 2 sampled listeners would see it: its markets, platforms, share or times leave all of them out"}},
	} {
		k := checker()
		got := texts(k.Check(t.Context(), placement.Placements{Shelves: c.doc}, noon))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	k := checker()
	k.Locales = []string{"fi"}
	if got := k.Check(t.Context(), placement.Placements{Shelves: []placement.Placement{{Shelf: "recent"}}}, noon); len(got) != 1 || got[0].Field != "shelves[0].titles" {
		t.Errorf("a locale of the app: %v", texts(got))
	}
}

// TestCheckWithoutListeners holds that what could not be checked is said, never taken for good.
func TestCheckWithoutListeners(t *testing.T) {
	doc := placement.Placements{Shelves: []placement.Placement{{Shelf: "recent"}}}
	for name, spoil := range map[string]func(*check.Checker){
		"no sample": func(k *check.Checker) {
			k.Sample = func(context.Context, int) ([]string, error) { return nil, errors.New("away") }
		},
		"no listeners": func(k *check.Checker) {
			k.Sample = func(context.Context, int) ([]string, error) { return nil, nil }
		},
		"no Home": func(k *check.Checker) {
			k.Preview = func(context.Context, check.View, placement.Placements) (*homepb.Home, error) {
				return nil, errors.New("away")
			}
		},
	} {
		k := checker()
		spoil(&k)
		if got := k.Check(t.Context(), doc, noon); len(got) != 1 || got[0].Severity != check.Warning || got[0].Field != "shelves" {
			t.Errorf("%s: %v", name, texts(got))
		}
	}
}
