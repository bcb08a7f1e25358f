package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api"
	"homefeed/api/homepb"
	"homefeed/api/placement"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// getHome asks in both forms and fails unless they say the same.
func getHome(t *testing.T, a *api.API, path string) *homepb.Home {
	t.Helper()
	w := call(a, "GET", path, "listener:ann", "", "Accept", "application/x-protobuf")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-protobuf" {
		t.Fatalf("protobuf: %d %v %s", w.Code, w.Header(), w.Body)
	}
	fromBytes := new(homepb.Home)
	if err := proto.Unmarshal(w.Body.Bytes(), fromBytes); err != nil {
		t.Fatal(err)
	}
	w = call(a, "GET", path, "listener:ann", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("JSON: %d %v %s", w.Code, w.Header(), w.Body)
	}
	fromJSON := new(homepb.Home)
	if err := protojson.Unmarshal(w.Body.Bytes(), fromJSON); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromBytes, fromJSON, protocmp.Transform()); diff != "" {
		t.Errorf("protobuf and JSON differ (-protobuf +JSON):\n%s", diff)
	}
	return fromBytes
}

// TestHome shows every rung at once.
func TestHome(t *testing.T) {
	s := &rows{}
	key := userKey(t, "ann")
	recent := s.put(t, key, "recently_played", now.Add(-time.Minute), nil, "a", "b")
	similar := s.put(t, key, "more_like", now.Add(-2*time.Hour), map[string]string{"artist": "Mozart"}, "c")
	s.put(t, key, "gone_shelf", now, nil, "x")
	s.put(t, key, "recently_played~b", now, nil, "x")
	s.put(t, key, "trending", now, nil, "of a market, so not read here")
	placements := api.Placements{Shelves: []api.Placement{
		{Shelf: "more_like"},
		{Shelf: "discover", Component: placement.Grid, DefaultCards: api.Cards{{Uri: "track:d", Title: "D"}}},
		{Shelf: "trending"},
		{Shelf: "recently_played", Title: "Again?"},
	}}
	got := getHome(t, newAPI(t, api.Config{Rows: s, Placements: placements}), "/v1/home")
	want := &homepb.Home{Shelves: []*shelfpb.Shelf{
		{Name: "more_like", Title: "More like Mozart", Status: shelfpb.Status_LAST_GOOD, AgeSeconds: 7200, Component: shelfpb.Component_CAROUSEL,
			TitleArgs: similar.TitleArgs, AsOf: similar.AsOf, Cards: similar.Cards, Trigger: "trigger-1"},
		{Name: "discover", Title: "Discover", Status: shelfpb.Status_DEFAULT, Component: shelfpb.Component_GRID,
			Cards: placements.Shelves[1].DefaultCards},
		{Name: "trending", Title: "Trending", Status: shelfpb.Status_LEFT_OUT, Component: shelfpb.Component_CAROUSEL},
		{Name: "recently_played", Title: "Again?", Status: shelfpb.Status_FRESH, Component: shelfpb.Component_CAROUSEL,
			AsOf: recent.AsOf, Cards: recent.Cards, Trigger: "trigger-1"},
	}}
	for _, s := range got.Shelves {
		for _, c := range s.Cards {
			if c.Context == "" {
				t.Errorf("%s has no context", c.Uri)
			}
		}
	}
	want.Shelves[1].Cards = []*shelfpb.Card{{Uri: "track:d", Title: "D", Action: shelfpb.Action_PLAY}}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(&shelfpb.Card{}, "context")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.reads[key] != 2 { // once for protobuf, once for JSON
		t.Errorf("the listener's row was read %d times in two requests", s.reads[key])
	}
}

var contexts = regexp.MustCompile(`"context": ?"[A-Za-z0-9_-]+"`)

// TestHomeJSON holds the names and forms that clients rely on.
func TestHomeJSON(t *testing.T) {
	s := &rows{}
	s.put(t, userKey(t, "ann"), "recently_played", now.Add(-time.Minute), nil, "a")
	w := call(newAPI(t, api.Config{Rows: s, Shelves: testShelves()[:2]}), "GET", "/v1/home", "listener:ann", "")
	var got map[string]any
	if err := json.Unmarshal(contexts.ReplaceAll(w.Body.Bytes(), []byte(`"context":"$$"`)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"nextPageToken": "", "newerAvailable": false, "degraded": false, "shelves": []any{
		map[string]any{
			"name": "recently_played", "title": "Recently played", "status": "FRESH", "ageSeconds": "0",
			"component": "CAROUSEL", "nextPageToken": "",
			"titleArgs": map[string]any{}, "asOf": "2026-03-04T05:05:07Z", "trigger": "trigger-1",
			"cards": []any{map[string]any{"uri": "track:a", "title": "Title a", "subtitle": "", "reason": "Because",
				"artist": "", "action": "ACTION_UNSPECIFIED", "context": "$"}},
		},
		map[string]any{
			"name": "more_like", "title": "More like", "status": "LEFT_OUT", "ageSeconds": "0",
			"component": "CAROUSEL", "nextPageToken": "",
			"titleArgs": map[string]any{}, "trigger": "", "cards": []any{},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHomeOfNobodyKnown(t *testing.T) {
	for _, s := range getHome(t, newAPI(t, api.Config{}), "/v1/home").Shelves {
		if s.Status != shelfpb.Status_LEFT_OUT || len(s.Cards) != 0 {
			t.Errorf("%s: %v", s.Name, s)
		}
	}
}

// TestHomeWithoutStore holds that a store that fails or hangs never shows, except in what a cache may do and in
// the metrics, and that nothing logged names the listener.
func TestHomeWithoutStore(t *testing.T) {
	for name, before := range map[string]func(context.Context, store.Key) error{
		"failing": func(context.Context, store.Key) error { return errors.New("the store is away") },
		"hanging": func(ctx context.Context, _ store.Key) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			s := &rows{before: before}
			s.put(t, userKey(t, "ann"), "discover", now, nil, "a")
			reg := prometheus.NewPedanticRegistry()
			var log bytes.Buffer
			a := newAPI(t, api.Config{
				Rows: s, Registerer: reg, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Limits:     api.Limits{StoreTimeout: time.Millisecond},
				Placements: api.Placements{Shelves: []api.Placement{{Shelf: "discover", DefaultCards: api.Cards{{Uri: "track:d", Title: "D"}}}, {Shelf: "more_like"}}},
			})
			home := getHome(t, a, "/v1/home")
			if home.Shelves[0].Status != shelfpb.Status_DEFAULT || home.Shelves[1].Status != shelfpb.Status_LEFT_OUT {
				t.Errorf("%v", home)
			}
			if cc := call(a, "GET", "/v1/home", "listener:ann", "").Header().Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store", cc)
			}
			want := `# HELP homefeed_api_failures_total What failed without or before its answer, by what.
# TYPE homefeed_api_failures_total counter
homefeed_api_failures_total{what="row"} 3
`
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "homefeed_api_failures_total"); err != nil {
				t.Error(err)
			}
			w := call(a, "GET", "/v1/users/ann/shelves/discover", "service:viewer", "")
			if w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("a CMS caller got %d %s, want 503: an outage is not an empty row", w.Code, w.Body)
			}
			if strings.Contains(log.String(), "ann") {
				t.Errorf("the log names the listener:\n%s", &log)
			}
			if n := strings.Count(log.String(), "what=row"); n != 1 {
				t.Errorf("the outage is logged %d times, want once:\n%s", n, &log)
			}
		})
	}
}

// TestHomeWithBrokenCell holds that one bad cell costs its own shelf only.
func TestHomeWithBrokenCell(t *testing.T) {
	for name, data := range map[string][]byte{
		"cut off":       {7<<3 | 2, 9, 1},
		"with a header": {1<<3 | 2, 1, 'x', 7<<3 | 2, 0},
		"no cards":      {},
	} {
		s := &rows{}
		s.putBytes(userKey(t, "ann"), store.Cell{Shelf: "discover", AsOf: now, Data: data})
		s.put(t, userKey(t, "ann"), "recently_played", now, nil, "a")
		home := getHome(t, newAPI(t, api.Config{Rows: s}), "/v1/home")
		if home.Shelves[0].Status != shelfpb.Status_FRESH || home.Shelves[3].Status != shelfpb.Status_LEFT_OUT {
			t.Errorf("%s: %v", name, home)
		}
	}
	// A card that is broken inside is found where cards are decoded.
	s := &rows{}
	s.putBytes(userKey(t, "ann"), store.Cell{Shelf: "discover", AsOf: now, Data: []byte{7<<3 | 2, 2, 0xff, 0xff}})
	w := call(newAPI(t, api.Config{Rows: s}), "GET", "/v1/home", "listener:ann", "")
	if w.Code != 200 || strings.Contains(w.Body.String(), "FRESH") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMarketShelf(t *testing.T) {
	s := &rows{}
	s.put(t, marketKey(t, "001"), "trending", now, nil, "world")
	s.put(t, marketKey(t, "SE"), "trending", now, nil, "sweden")
	s.put(t, marketKey(t, "SE"), "discover", now, nil, "of a listener, so not read here")
	a := newAPI(t, api.Config{Rows: s})
	for path, want := range map[string]string{
		"/v1/home": "track:world", "/v1/home?market=001": "track:world",
		"/v1/home?market=SE": "track:sweden", "/v1/home?market=NO": "track:world",
	} {
		home := getHome(t, a, path)
		if got := home.Shelves[2].GetCards(); len(got) != 1 || got[0].Uri != want {
			t.Errorf("%s: trending is %v, want %s", path, got, want)
		}
		if home.Shelves[3].Status != shelfpb.Status_LEFT_OUT {
			t.Errorf("%s: a market's row filled a listener's shelf", path)
		}
	}
	if n := s.reads[marketKey(t, "001")]; n != 1 {
		t.Errorf("the world's row was read %d times for eight Homes, want once", n)
	}
	w := call(a, "GET", "/v1/users/ann/shelves/trending?market=SE", "service:viewer", "")
	if !strings.Contains(w.Body.String(), "track:sweden") {
		t.Errorf("as a CMS caller: %s", w.Body)
	}
}

func TestUserShelf(t *testing.T) {
	s := &rows{}
	want := s.put(t, userKey(t, "ann"), "more_like", now.Add(-time.Minute), map[string]string{"artist": "Mozart"}, "a")
	want.Name, want.Title, want.Status = "more_like", "More like Mozart", shelfpb.Status_FRESH
	want.Component = shelfpb.Component_CAROUSEL
	a := newAPI(t, api.Config{Rows: s})

	got := new(shelfpb.Shelf)
	w := call(a, "GET", "/v1/users/ann/shelves/more_like", "service:viewer", "")
	if err := protojson.Unmarshal(w.Body.Bytes(), got); err != nil {
		t.Fatal(err, w.Body)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	w = call(a, "GET", "/v1/users/ann/shelves/more_like", "service:viewer", "", "Accept", "application/x-protobuf")
	if err := proto.Unmarshal(w.Body.Bytes(), got); err != nil {
		t.Fatal(err, w.Body)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("protobuf (-want +got):\n%s", diff)
	}
	w = call(a, "GET", "/v1/users/nobody/shelves/more_like", "service:viewer", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "LEFT_OUT") {
		t.Errorf("of an unknown listener: %d %s", w.Code, w.Body)
	}
}

func TestPanicIsAnError(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, api.Config{
		Rows: &rows{before: func(context.Context, store.Key) error { panic("boom") }},
		Log:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	w := call(a, "GET", "/v1/home", "listener:ann", "")
	e := decodeError(t, w.Body.Bytes())
	if w.Code != 500 || e.Error.Status != "INTERNAL" || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "home_test.go") {
		t.Errorf("the log lacks the panic or its stack:\n%s", &log)
	}
}

func TestAccept(t *testing.T) {
	a := newAPI(t, api.Config{})
	for accept, protobuf := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/html, */*;q=0.8": false,
		"application/x-protobuf": true, "application/protobuf": true,
		"application/x-protobuf;q=0.5, application/json": false,
		"application/json;q=0.5, application/x-protobuf": true,
		"application/x-protobuf;q=0":                     false,
		"application/x-protobuf;q=x":                     false,
		"protobuf":                                       false,
	} {
		w := call(a, "GET", "/v1/home", "listener:ann", "", "Accept", accept)
		if got := w.Header().Get("Content-Type") == "application/x-protobuf"; got != protobuf {
			t.Errorf("Accept %q: Content-Type %s", accept, w.Header().Get("Content-Type"))
		}
	}
}
