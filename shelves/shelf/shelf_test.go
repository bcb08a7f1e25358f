package shelf_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/shelves/shelf"
)

func nothing(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

func smallest() *shelf.Shelf { return &shelf.Shelf{Name: "a_1", Doc: "A shelf.", Fill: nothing} }

func TestTheSmallestShelfIsValid(t *testing.T) {
	s := smallest()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	want := shelf.Guard{Timeout: 2 * time.Second, MinCards: 1, MaxCards: 20, Freshness: 10 * time.Second, GoodFor: 30 * 24 * time.Hour}
	if diff := cmp.Diff(want, s.Guard.WithDefaults()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]shelf.Signal{{Kind: shelf.Played, AtLeast: 1}}, s.Signals()); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

func TestSignalsOfAMarketAreNone(t *testing.T) {
	s := smallest()
	s.Scope = shelf.Market
	if got := s.Signals(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for want, spoil := range map[string]func(*shelf.Shelf){
		"Name":             func(s *shelf.Shelf) { s.Name = "With Capitals" },
		"Name:":            func(s *shelf.Shelf) { s.Name = strings.Repeat("a", 41) },
		"Doc":              func(s *shelf.Shelf) { s.Doc = "" },
		"Fill":             func(s *shelf.Shelf) { s.Fill = nil },
		"On:":              func(s *shelf.Shelf) { s.Scope, s.On = shelf.Market, []shelf.Signal{{Kind: shelf.Played}} },
		"On[0].Kind":       func(s *shelf.Shelf) { s.On = []shelf.Signal{{}} },
		"On[1].AtLeast":    func(s *shelf.Shelf) { s.On = []shelf.Signal{{Kind: 1}, {Kind: 1, AtLeast: 17}} },
		"On[0].Within":     func(s *shelf.Shelf) { s.On = []shelf.Signal{{Kind: 1, AtLeast: 2}} },
		"On[0].Within:":    func(s *shelf.Shelf) { s.On = []shelf.Signal{{Kind: 1, AtLeast: 2, Within: time.Hour}} },
		"Guard.Timeout":    func(s *shelf.Shelf) { s.Guard.Timeout = time.Minute },
		"Guard.Freshness":  func(s *shelf.Shelf) { s.Guard.Freshness = time.Hour },
		"Guard.Freshness:": func(s *shelf.Shelf) { s.Guard.Freshness = time.Microsecond },
		"Guard.MaxCards":   func(s *shelf.Shelf) { s.Guard.MaxCards = 101 },
		"Guard.MinCards":   func(s *shelf.Shelf) { s.Guard.MinCards = 21 },
		"Guard.GoodFor":    func(s *shelf.Shelf) { s.Guard.GoodFor = -1 },
	} {
		s := smallest()
		spoil(s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error that names %s, got %v", want, err)
		}
	}
}

func TestCardValidate(t *testing.T) {
	for name, c := range map[string]struct {
		card shelf.Card
		ok   bool
	}{
		"a track":            {shelf.Card{URI: "track:A-z.0_9:x", Title: "T"}, true},
		"an artist":          {shelf.Card{URI: "artist:a", Title: "T"}, true},
		"the longest id":     {shelf.Card{URI: "track:" + strings.Repeat("a", 128), Title: "T"}, true},
		"an id too long":     {shelf.Card{URI: "track:" + strings.Repeat("a", 129), Title: "T"}, false},
		"no id":              {shelf.Card{URI: "track:", Title: "T"}, false},
		"no kind":            {shelf.Card{URI: "a", Title: "T"}, false},
		"another kind":       {shelf.Card{URI: "album:a", Title: "T"}, false},
		"a space":            {shelf.Card{URI: "track:a b", Title: "T"}, false},
		"no title":           {shelf.Card{URI: "track:a"}, false},
		"a title in Latin-1": {shelf.Card{URI: "track:a", Title: "Mot\xf6rhead"}, false},
		"a colour in bytes":  {shelf.Card{URI: "track:a", Title: "T", Image: shelf.Image{Colors: []string{"\xff"}}}, false},
	} {
		if err := c.card.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want valid: %v", name, err, c.ok)
		}
	}
}

// FuzzCardValidate holds Validate to what it promises of a URI.
func FuzzCardValidate(f *testing.F) {
	for _, uri := range []string{"track:a", "artist:b", "track:", ":", "track:a:b", "track:\x00"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		c := shelf.Card{URI: uri, Title: "T"}
		if c.Validate() != nil {
			return
		}
		id, ok := strings.CutPrefix(uri, "track:")
		if !ok {
			id, ok = strings.CutPrefix(uri, "artist:")
		}
		if !ok || id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == '#' }) {
			t.Errorf("accepted %q", uri)
		}
	})
}

// someTracks knows the tracks a and b.
type someTracks struct{ shelf.Catalog }

func (someTracks) Tracks(_ context.Context, ids ...string) (map[string]*shelf.Track, error) {
	known := map[string]*shelf.Track{}
	for _, id := range ids {
		if id == "a" || id == "b" {
			known[id] = &shelf.Track{ID: id}
		}
	}
	return known, nil
}

func TestRequestTracksKeepsTheOrder(t *testing.T) {
	r := &shelf.Request{Catalog: someTracks{}}
	got, err := r.Tracks(t.Context(), "b", "x", "a", "b")
	if diff := cmp.Diff([]*shelf.Track{{ID: "b"}, {ID: "a"}}, got); err != nil || diff != "" {
		t.Errorf("error %v, tracks (-want +got):\n%s", err, diff)
	}
}
