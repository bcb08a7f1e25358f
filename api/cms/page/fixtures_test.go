package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/locallog"
	"homefeed/api/cms/page"
	"homefeed/api/cms/server"
	"homefeed/api/homepb"
	"homefeed/api/identity"
	"homefeed/api/placement"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// tokens knows "<role>:<name>".
type tokens struct{}

func (tokens) Verify(_ context.Context, r *http.Request) (identity.Identity, error) {
	token, err := identity.Bearer(r)
	if err != nil {
		return identity.Identity{}, err
	}
	role, name, _ := strings.Cut(token, ":")
	return identity.Identity{Service: true, Roles: []identity.Role{identity.Role(role)}, Name: name}, nil
}

func shelves() []*shelf.Shelf {
	fill := func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }
	var all []*shelf.Shelf
	for _, s := range [][3]string{
		{"recently_played", "Recently played", "What you played, newest first."},
		{"more_like_artist", "More like {artist}", "Songs near an artist whom you play a lot."},
		{"heavy_rotation", "On repeat", "What you play again and again."},
		{"discover", "Discover", "Songs that you have not heard."},
		{"trending", "Popular now", "What everybody plays."},
	} {
		all = append(all, &shelf.Shelf{Name: s[0], Title: s[1], Doc: s[2], Fill: fill})
	}
	return all
}

var songs = []string{
	"Paper Lanterns|The Quiet Engines", "Northbound|Ida Verne", "Salt & Cedar|Mockingbird Lane", "Hours Like Rivers|Ida Verne",
	"Neon Orchard|Velvet Cartography", "Slow Machine|The Quiet Engines", "Half a Moon|Oda Lund", "Static Garden|Velvet Cartography",
	"Goodnight, Tallinn|Mare Kask", "Every Other Tuesday|Copper & Pine", "Undertow|Oda Lund", "Harbour Lights|Copper & Pine",
}

// cards are what a shelf has for a listener: nothing of discover for those who are new.
func cards(user, name string) []*shelfpb.Card {
	if name == "discover" && strings.HasPrefix(user, "new") {
		return nil
	}
	var all []*shelfpb.Card
	first := 3 * slices.IndexFunc(shelves(), func(s *shelf.Shelf) bool { return s.Name == name })
	for i := range 6 {
		n := (first + i) % len(songs)
		title, artist, _ := strings.Cut(songs[n], "|")
		all = append(all, &shelfpb.Card{Uri: fmt.Sprint("track:", n), Title: title, Subtitle: artist, Image: &shelfpb.Image{
			Colors: []string{fmt.Sprintf("hsl(%d 55%% 40%%)", n*67%360), fmt.Sprintf("hsl(%d 65%% 62%%)", n*67%360+40)}}})
	}
	return all
}

// preview is Home of the cards above, as far as the document asks for them.
func preview(_ context.Context, v check.View, p placement.Placements) (*homepb.Home, error) {
	h := &homepb.Home{}
	for _, one := range p.Shelves {
		if len(one.Markets) > 0 && !slices.Contains(one.Markets, v.Market) || one.From.After(v.At) || !one.To.IsZero() && !v.At.Before(one.To) {
			continue
		}
		s := &shelfpb.Shelf{Name: one.Shelf, Title: strings.ReplaceAll(one.Title, "{artist}", "Ida Verne"), Status: shelfpb.Status_FRESH, Cards: one.Pins}
		if t, ok := one.Titles[v.Locale]; ok {
			s.Title = t
		}
		if s.Title == "" {
			i := slices.IndexFunc(shelves(), func(s *shelf.Shelf) bool { return s.Name == one.Shelf })
			s.Title = strings.ReplaceAll(shelves()[i].Title, "{artist}", "Ida Verne")
		}
		for _, c := range cards(v.User, one.Shelf) {
			pinned := slices.ContainsFunc(one.Pins, func(p *shelfpb.Card) bool { return p.Uri == c.Uri })
			if !pinned && !slices.Contains(one.Blocks, c.Uri) {
				s.Cards = append(s.Cards, c)
			}
		}
		if len(s.Cards) == 0 {
			s.Status = shelfpb.Status_LEFT_OUT
		}
		h.Shelves = append(h.Shelves, s)
	}
	return h, nil
}

// site is the whole CMS with an empty log.
type site struct {
	desk *cms.Desk
	url  string
	down atomic.Bool // the API answers nobody
}

func serve(t *testing.T) *site {
	t.Helper()
	return serveFor(t, func(string) (identity.Verifier, page.Config) {
		return tokens{}, page.Config{People: []page.Person{
			{Name: "Pia, publisher", Token: "publisher:pia"}, {Name: "Ed, editor", Token: "editor:ed"}, {Name: "Vic, viewer", Token: "viewer:vic"},
		}}
	})
}

// serveFor serves those whom the verifier knows; ways is asked for it with the site's address.
func serveFor(t *testing.T, ways func(url string) (identity.Verifier, page.Config)) *site {
	t.Helper()
	mux := http.NewServeMux()
	h := httptest.NewUnstartedServer(mux)
	t.Cleanup(h.Close)
	verifier, config := ways("http://" + h.Listener.Addr().String())
	log, err := locallog.Open("cms", locallog.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	desk, err := cms.NewDesk(cms.Config{Log: log, Start: placement.Default(shelves())})
	if err != nil {
		t.Fatal(err)
	}
	api, err := server.New(server.Config{Desk: desk, Verifier: verifier, Checker: check.Checker{
		Shelves: shelves(), Preview: preview,
		Sample: func(context.Context, int) ([]string, error) { return []string{"ann", "bob", "new-one"}, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := page.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{desk: desk}
	mux.Handle("/cms/", pages)
	mux.HandleFunc(server.Path, func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			http.Error(w, `{"code":"unavailable","message":"the log of changes can't be reached just now"}`, http.StatusServiceUnavailable)
			return
		}
		api.ServeHTTP(w, r)
	})
	h.Start()
	s.url = h.URL + "/cms/"
	return s
}

// state is everything that the CMS has.
func (s *site) state(t *testing.T) cms.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	state, err := s.desk.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// published is what Home shows.
func (s *site) published(t *testing.T) cms.Version {
	t.Helper()
	return s.state(t).Published
}

// draftTitle is what the only draft is called.
func (s *site) draftTitle(t *testing.T) string {
	t.Helper()
	for _, d := range s.state(t).Drafts {
		return d.Title
	}
	return ""
}
