package preview_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"homefeed/api/cms/check"
	"homefeed/api/cms/preview"
	"homefeed/api/placement"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rows has one row for everybody, newest generations first.
type rows struct {
	cells []store.Cell
	err   error
}

func (r rows) Read(context.Context, store.Key, int) (store.Row, error) {
	return store.Row{Cells: r.cells}, r.err
}

func cell(t *testing.T, asOf time.Time, uri string) store.Cell {
	t.Helper()
	data, err := proto.Marshal(&shelfpb.Shelf{Cards: []*shelfpb.Card{{Uri: uri, Title: uri}}})
	if err != nil {
		t.Fatal(err)
	}
	return store.Cell{Shelf: "recent", AsOf: asOf, Data: data}
}

func shelves() []*shelf.Shelf {
	return []*shelf.Shelf{{Name: "recent", Doc: "D.", Fill: func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }}}
}

// TestPreview holds that Home is by the document and at the time that were asked for.
func TestPreview(t *testing.T) {
	make := preview.New(rows{cells: []store.Cell{cell(t, noon, "track:new"), cell(t, noon.Add(-time.Hour), "track:old")}}, shelves())
	doc := placement.Placements{Shelves: []placement.Placement{{Shelf: "recent", Title: "Drafted"}}}
	for at, want := range map[time.Time]string{
		noon.Add(time.Minute): "track:new", noon.Add(-time.Minute): "track:old", noon.Add(-2 * time.Hour): "",
	} {
		home, err := make(t.Context(), check.View{User: "ann", At: at}, doc)
		if err != nil || len(home.Shelves) != 1 {
			t.Fatalf("at %v: %v, %v", at, home, err)
		}
		got := ""
		if cards := home.Shelves[0].Cards; len(cards) > 0 {
			got = cards[0].Uri
		}
		if got != want || want != "" && home.Shelves[0].Title != "Drafted" {
			t.Errorf("at %v: %v, want %q", at, home, want)
		}
	}
}

// TestStoreAway holds that an outage isn't taken for a Home without rows.
func TestStoreAway(t *testing.T) {
	doc := placement.Placements{Shelves: []placement.Placement{{Shelf: "recent"}}}
	if home, err := preview.New(rows{err: errors.New("away")}, shelves())(t.Context(), check.View{User: "ann", At: noon}, doc); err == nil {
		t.Errorf("no error, but %v", home)
	}
}
