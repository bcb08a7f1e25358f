package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"homefeed/api"
	"homefeed/api/homepb"
	"homefeed/api/ondemand"
	"homefeed/api/placement"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// get asks for a message in protobuf as ann.
func get(t *testing.T, a *api.API, path string, m proto.Message) {
	t.Helper()
	w := call(a, "GET", path, "listener:ann", "", "Accept", "application/x-protobuf")
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	if err := proto.Unmarshal(w.Body.Bytes(), m); err != nil {
		t.Fatal(err)
	}
}

// numbered are n cards called prefix0 and so on.
func numbered(prefix string, n int) []string {
	cards := make([]string, n)
	for i := range cards {
		cards[i] = fmt.Sprint(prefix, i)
	}
	return cards
}

// TestPaging walks over all shelves, and over all cards of each, and finds every card once, in order and with the
// position that it has on its shelf, while newer rows come in.
func TestPaging(t *testing.T) {
	s := &rows{}
	key := userKey(t, "ann")
	s.put(t, key, "recently_played", now.Add(-time.Minute), nil, numbered("r", 7)...)
	s.put(t, key, "more_like", now.Add(-time.Minute), nil, append([]string{"r0", "r6"}, numbered("m", 3)...)...)
	s.put(t, key, "discover", now.Add(-time.Minute), nil, append([]string{"m1"}, numbered("d", 5)...)...)
	a := newAPI(t, api.Config{Rows: s})
	got := map[string][]string{}
	var order []string
	for path := "/v1/home?page_size=2&card_size=3"; path != ""; {
		home := new(homepb.Home)
		get(t, a, path, home)
		if newer := len(order) > 0; home.NewerAvailable != newer {
			t.Errorf("%s: newer available: %t", path, home.NewerAvailable)
		}
		for _, shelf := range home.Shelves {
			order = append(order, shelf.Name)
			for {
				for _, c := range shelf.Cards {
					got[shelf.Name] = append(got[shelf.Name], strings.TrimPrefix(c.Uri, "track:"))
				}
				if shelf.NextPageToken == "" {
					break
				}
				next := "/v1/home/shelves/" + shelf.Name + "?page_size=2&page_token=" + url.QueryEscape(shelf.NextPageToken)
				shelf = new(shelfpb.Shelf)
				get(t, a, next, shelf)
			}
		}
		path = ""
		if home.NextPageToken != "" {
			path = "/v1/home?page_size=2&card_size=3&page_token=" + url.QueryEscape(home.NextPageToken)
		}
		for _, name := range []string{"recently_played", "more_like", "discover"} { // what the pages must not show
			s.put(t, key, name, now.Add(time.Duration(len(order))*time.Second), nil, "new")
		}
	}
	if diff := cmp.Diff([]string{"recently_played", "more_like", "trending", "discover"}, order); diff != "" {
		t.Errorf("shelves (-want +got):\n%s", diff)
	}
	want := map[string][]string{"recently_played": numbered("r", 7), "more_like": numbered("m", 3), "discover": numbered("d", 5)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cards (-want +got):\n%s", diff)
	}
}

func TestPageTokensAreBound(t *testing.T) {
	s := &rows{}
	s.put(t, userKey(t, "ann"), "discover", now, nil, numbered("d", 5)...)
	a := newAPI(t, api.Config{Rows: s})
	home := new(homepb.Home)
	get(t, a, "/v1/home?page_size=1", home)
	shelf := new(shelfpb.Shelf)
	get(t, a, "/v1/home/shelves/discover?page_size=1", shelf)
	if home.NextPageToken == "" || shelf.NextPageToken == "" {
		t.Fatal("no page tokens")
	}
	for name, c := range map[string]struct{ token, path string }{
		"another listener": {"listener:bob", "/v1/home?page_token=" + home.NextPageToken},
		"another market":   {"listener:ann", "/v1/home?market=SE&page_token=" + home.NextPageToken},
		"a shelf's":        {"listener:ann", "/v1/home?page_token=" + shelf.NextPageToken},
		"another shelf":    {"listener:ann", "/v1/home/shelves/more_like?page_token=" + shelf.NextPageToken},
		"made up":          {"listener:ann", "/v1/home?page_token=eyJ2IjoiIn0"},
	} {
		w := call(a, "GET", c.path, c.token, "")
		if e := decodeError(t, w.Body.Bytes()); w.Code != 400 || e.Error.Details[0]["reason"] != "PAGE_TOKEN_INVALID" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestQueryRefused(t *testing.T) {
	a := newAPI(t, api.Config{})
	for query, field := range map[string]string{
		"market=sweden": "market", "locale=en_GB": "locale", "platform=i+OS": "platform", "view=HUGE": "view",
		"page_size=-1": "page_size", "card_size=many": "card_size", "page_size=99999999999": "page_size", "%": "query",
	} {
		w := call(a, "GET", "/v1/home?"+query, "listener:ann", "")
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"field":"`+field+`"`) && !strings.Contains(w.Body.String(), `"field": "`+field+`"`) {
			t.Errorf("%s: %d %s, want a mistake in %s", query, w.Code, w.Body, field)
		}
	}
	for _, query := range []string{"page_size=0", "page_size=1000", "view=FULL", "market=001", "unknown=x"} {
		if w := call(a, "GET", "/v1/home?"+query, "listener:ann", ""); w.Code != 200 {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// TestETag holds that 304 is said exactly as long as Home shows the same.
func TestETag(t *testing.T) {
	s, clock := &rows{}, now
	key := userKey(t, "ann")
	s.put(t, key, "more_like", now, nil, "a") // good for an hour
	a := newAPI(t, api.Config{Rows: s, Now: func() time.Time { return clock }})
	const accept = "application/x-protobuf"
	ask := func(etag string) (int, string) {
		w := call(a, "GET", "/v1/home", "listener:ann", "", "Accept", accept, "If-None-Match", etag)
		if w.Code == 304 && w.Body.Len() > 0 {
			t.Error("304 with a body")
		}
		if cc := w.Header().Get("Cache-Control"); cc != "private, max-age=5, stale-while-revalidate=60, stale-if-error=86400" {
			t.Errorf("Cache-Control %q", cc)
		}
		return w.Code, w.Header().Get("ETag")
	}
	_, etag := ask("")
	if code, again := ask(`"other", ` + etag); code != 304 || again != etag {
		t.Errorf("the same: %d %s, want 304 %s", code, again, etag)
	}
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"a newer row", func() { s.put(t, key, "more_like", now.Add(time.Second), nil, "b") }},
		{"the same as-of with other cards", func() {
			s.rows[key].Cells[0].Data = bytes.ReplaceAll(bytes.Clone(s.rows[key].Cells[0].Data), []byte("track:b"), []byte("track:c"))
		}},
		{"another document", func() {
			if err := a.SetPlacements(api.Placements{Shelves: []api.Placement{{Shelf: "more_like"}}}); err != nil {
				t.Fatal(err)
			}
		}},
		{"a row that grew old", func() { clock = clock.Add(2 * time.Hour) }},
	} {
		change.do()
		code, next := ask(etag)
		if code != 200 || next == etag {
			t.Errorf("%s: %d, ETag as before: %t", change.name, code, next == etag)
		}
		etag = next
	}
	clock = clock.Add(time.Hour)
	if code, _ := ask(etag); code != 304 {
		t.Errorf("only older still: %d, want 304", code)
	}
	if w := call(a, "GET", "/v1/home", "listener:ann", "", "If-None-Match", etag); w.Code != 200 {
		t.Errorf("JSON by protobuf's ETag: %d", w.Code)
	}
}

func TestEncodings(t *testing.T) {
	s := &rows{}
	s.put(t, userKey(t, "ann"), "discover", now, nil, numbered("d", 20)...)
	a := newAPI(t, api.Config{Rows: s})
	plain := call(a, "GET", "/v1/home", "listener:ann", "").Body.Bytes()
	for accept, want := range map[string]string{
		"gzip": "gzip", "gzip, deflate, br": "br", "br;q=0.5, gzip": "gzip", "br;q=0, gzip;q=0": "", "identity": "", "gzip;q=x": "",
	} {
		w := call(a, "GET", "/v1/home", "listener:ann", "", "Accept-Encoding", accept)
		if got := w.Header().Get("Content-Encoding"); got != want || !strings.Contains(w.Header().Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: Content-Encoding %q, want %q; Vary %q", accept, got, want, w.Header().Get("Vary"))
			continue
		}
		var r io.Reader = w.Body
		switch want {
		case "gzip":
			var err error
			if r, err = gzip.NewReader(w.Body); err != nil {
				t.Fatal(err)
			}
		case "br":
			r = brotli.NewReader(w.Body)
		}
		body, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(body, plain) {
			t.Errorf("%s: %d bytes of %d, %v", accept, len(body), len(plain), err)
		}
	}
	small := call(newAPI(t, api.Config{Shelves: testShelves()[:1]}), "GET", "/v1/home", "listener:ann", "", "Accept-Encoding", "gzip")
	if small.Header().Get("Content-Encoding") != "" {
		t.Error("a body that fits a packet is compressed")
	}
}

func TestBasicView(t *testing.T) {
	s := &rows{}
	s.put(t, userKey(t, "ann"), "more_like", now, map[string]string{"artist": "Mozart"}, "a")
	home := getHome(t, newAPI(t, api.Config{Rows: s}), "/v1/home?view=BASIC")
	got := home.Shelves[1]
	want := &shelfpb.Card{Uri: "track:a", Title: "Title a"}
	if got.Title != "More like Mozart" || got.Trigger != "" || len(got.TitleArgs) > 0 || !proto.Equal(got.Cards[0], want) {
		t.Errorf("%v", got)
	}
}

func TestLocaleAndPlatform(t *testing.T) {
	a := newAPI(t, api.Config{Placements: api.Placements{Shelves: []api.Placement{
		{Shelf: "discover", Titles: map[string]string{"sv": "Nytt"}}, {Shelf: "more_like", Platforms: []string{"ios"}}}}})
	if home := getHome(t, a, "/v1/home?locale=sv-SE&platform=ios"); len(home.Shelves) != 2 || home.Shelves[0].Title != "Nytt" {
		t.Errorf("%v", home)
	}
	if home := getHome(t, a, "/v1/home?platform=android"); len(home.Shelves) != 1 || home.Shelves[0].Title != "Discover" {
		t.Errorf("%v", home)
	}
}

// makerFunc is a Maker.
type makerFunc func(ctx context.Context, user string, shelves []string) ([]store.Cell, error)

func (f makerFunc) Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error) {
	return f(ctx, user, shelves)
}

// TestEveryRung brings a running API onto every rung, by faults where there is no other way.
func TestEveryRung(t *testing.T) {
	newcomer := makerFunc(func(_ context.Context, _ string, shelves []string) ([]store.Cell, error) {
		s := &rows{}
		s.put(t, userKey(t, "ann"), "discover", now, nil, "made")
		return s.rows[userKey(t, "ann")].Cells, nil
	})
	failing := makerFunc(func(context.Context, string, []string) ([]store.Cell, error) {
		return nil, errors.New("word2vec is away")
	})
	hanging := makerFunc(func(ctx context.Context, _ string, _ []string) ([]store.Cell, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	away := func(context.Context, store.Key) error { return errors.New("the store is away") }
	for _, c := range []struct {
		name     string
		age      time.Duration // of the row; below 0: none
		before   func(context.Context, store.Key) error
		maker    ondemand.Maker
		defaults placement.Cards
		want     shelfpb.Status
		degraded bool
	}{
		{name: "fresh", age: time.Minute, maker: newcomer, want: shelfpb.Status_FRESH},
		{name: "last good", age: 31 * 24 * time.Hour, want: shelfpb.Status_LAST_GOOD},
		{name: "on demand", age: -1, maker: newcomer, want: shelfpb.Status_ON_DEMAND},
		{name: "default", age: -1, defaults: placement.Cards{{Uri: "track:d", Title: "D"}}, want: shelfpb.Status_DEFAULT},
		{name: "on demand fails", age: -1, maker: failing, defaults: placement.Cards{{Uri: "track:d", Title: "D"}}, want: shelfpb.Status_DEFAULT},
		{name: "on demand hangs", age: -1, maker: hanging, want: shelfpb.Status_LEFT_OUT},
		{name: "store away", age: time.Minute, before: away, maker: newcomer, defaults: placement.Cards{{Uri: "track:d", Title: "D"}},
			want: shelfpb.Status_DEFAULT, degraded: true},
		{name: "left out", age: -1, want: shelfpb.Status_LEFT_OUT},
	} {
		s := &rows{before: c.before}
		if c.age >= 0 {
			s.put(t, userKey(t, "ann"), "discover", now.Add(-c.age), nil, "a")
		}
		a := newAPI(t, api.Config{
			Rows: s, OnDemand: c.maker, Limits: api.Limits{OnDemand: ondemand.Options{Patience: 20 * time.Millisecond}},
			Placements: api.Placements{Shelves: []api.Placement{{Shelf: "discover", DefaultCards: c.defaults}}},
		})
		home := new(homepb.Home)
		get(t, a, "/v1/home", home)
		if got := home.Shelves[0]; got.Status != c.want || home.Degraded != c.degraded || (len(got.Cards) > 0) != (c.want != shelfpb.Status_LEFT_OUT) {
			t.Errorf("%s: %v, degraded %t", c.name, got, home.Degraded)
		}
	}
}
