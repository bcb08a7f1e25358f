package page_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api"
	"homefeed/cmd/dev/devtoken"
	"homefeed/cmd/dev/page"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/services/catalog/art"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

var songs = []struct{ title, artist string }{
	{"Paper Lanterns", "The Quiet Engines"}, {"Northbound", "Ida Verne"}, {"Salt & Cedar", "Mockingbird Lane"},
	{"Hours Like Rivers", "Ida Verne"}, {"Neon Orchard", "Velvet Cartography"}, {"Slow Machine", "The Quiet Engines"},
	{"Harbour Lights at Four in the Morning", "Copper & Pine"}, {"Half a Moon", "Oda Lund"}, {"Static Garden", "Velvet Cartography"},
	{"Goodnight, Tallinn", "Mare Kask"}, {"Every Other Tuesday", "Copper & Pine"}, {"Undertow", "Oda Lund"},
}

// stub is the whole of homefeed in miniature: it turns each event into rows at once, behind the real API.
type stub struct {
	mu     sync.Mutex
	rows   map[store.Key]map[string][]string // shelf → tracks
	asOf   map[store.Key]map[string]time.Time
	events []event.Event
	down   atomic.Bool
}

func (s *stub) Publish(_ context.Context, _ string, msgs ...bus.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range msgs {
		e, err := event.Decode(m.Data, time.Now())
		if err != nil {
			return err
		}
		s.events = append(s.events, e)
		switch e.Kind {
		case event.Played:
			recent := slices.DeleteFunc(slices.Clone(s.row(e.User, "recently_played")), func(t string) bool { return t == e.Object })
			s.set(e.User, "recently_played", e.Time, append([]string{e.Object}, recent...)...)
		case event.Hearted:
			s.set(e.User, "because_you_hearted", e.Time, "3", "5", "9", "1")
		case event.Followed:
			s.set(e.User, "from_artists_you_follow", e.Time, "10", "11")
		}
	}
	return nil
}

func (s *stub) row(user, shelf string) []string {
	key, _ := store.UserKey(user)
	return s.rows[key][shelf]
}

func (s *stub) set(user, shelf string, asOf time.Time, tracks ...string) {
	key, _ := store.UserKey(user)
	if s.rows[key] == nil {
		s.rows[key], s.asOf[key] = map[string][]string{}, map[string]time.Time{}
	}
	s.rows[key][shelf], s.asOf[key][shelf] = tracks, asOf
}

func (s *stub) seen() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (s *stub) Read(_ context.Context, key store.Key, _ int) (store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var row store.Row
	for name, tracks := range s.rows[key] {
		m := &shelfpb.Shelf{AsOf: timestamppb.New(s.asOf[key][name]), TitleArgs: map[string]string{"artist": "Ida Verne", "track": "Northbound"}}
		for _, id := range tracks {
			var i int
			if _, err := fmt.Sscan(id, &i); err != nil {
				return store.Row{}, err
			}
			song := songs[i]
			m.Cards = append(m.Cards, &shelfpb.Card{
				Uri: "track:" + id, Title: song.title, Subtitle: song.artist, Reason: "Because you played " + songs[(i+3)%len(songs)].title,
				Image: &shelfpb.Image{Template: "/art/track/" + id + "/{size}.svg", Colors: art.ColorsOf(art.Track, id).List(), Alt: "Cover of " + song.title},
			})
		}
		data, err := proto.Marshal(m)
		if err != nil {
			return store.Row{}, err
		}
		row.Cells = append(row.Cells, store.Cell{Shelf: name, AsOf: s.asOf[key][name], Data: data})
	}
	slices.SortFunc(row.Cells, func(a, b store.Cell) int { return cmp.Compare(a.Shelf, b.Shelf) })
	return row, nil
}

// Write and Delete are what nobody does on the page.
func (s *stub) Write(context.Context, store.Key, ...store.Cell) error { return errors.ErrUnsupported }
func (s *stub) Delete(context.Context, store.Key, time.Time) error    { return errors.ErrUnsupported }

func noCards(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

// serve starts the page and what it needs on this machine.
func serve(t *testing.T) (*stub, string) {
	s := &stub{rows: map[store.Key]map[string][]string{}, asOf: map[store.Key]map[string]time.Time{}}
	now := time.Now()
	s.set("ann", "recently_played", now.Add(-4*time.Minute), "0", "1", "2", "3", "4", "5")
	s.set("ann", "more_like_artist", now.Add(-3*time.Hour), "6", "7", "8", "9")
	s.set("ann", "heavy_rotation", now.Add(-40*24*time.Hour), "4", "1", "10", "0", "7")
	s.set("ann", "discover", now.Add(-30*time.Second), "11", "10", "8", "2")
	s.set("bob", "recently_played", now.Add(-time.Minute), "9")

	var shelves []*shelf.Shelf
	for _, one := range [][2]string{
		{"recently_played", "Recently played"}, {"more_like_artist", "More like {artist}"}, {"heavy_rotation", "On repeat"},
		{"because_you_hearted", "Because you hearted {track}"}, {"from_artists_you_follow", "From artists you follow"},
		{"discover", "Discover"}, {"jump_back_in", "Jump back in"},
	} {
		shelves = append(shelves, &shelf.Shelf{Name: one[0], Doc: "D.", Recalls: true, Title: one[1], Fill: noCards})
	}
	placements := api.DefaultPlacements(shelves)
	placements.Shelves[6].DefaultCards = api.Cards{{Uri: "artist:a1", Title: "Oda Lund", Reason: "The editors like her",
		Image: &shelfpb.Image{Template: "/art/artist/a1/{size}.svg", Colors: art.ColorsOf(art.Artist, "a1").List(), Alt: "Oda Lund"}}}
	reg := prometheus.NewRegistry()
	v1, err := api.New(api.Config{Rows: s, Bus: s, Shelves: shelves, Placements: placements, Verifier: devtoken.Verifier{}, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v1.Close)
	p, err := page.New(page.Config{
		Listeners: func(context.Context) ([]page.Listener, error) {
			return []page.Listener{{ID: "ann", Name: "Ann Marlow", About: "late nights, guitars"}, {ID: "bob"}, {ID: "new"}}, nil
		},
		ArtistOf: func(_ context.Context, track string) (string, error) { return "artist-of-" + track, nil },
		Metrics:  reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		v1.ServeHTTP(w, r)
	})
	mux.Handle("/art/", http.StripPrefix("/art", art.NewHandler(func(kind art.Kind, id string) (string, string, bool) {
		var i int
		if kind == art.Artist {
			return "Oda Lund", "", true
		}
		if _, err := fmt.Sscan(id, &i); err != nil || i >= len(songs) || strings.HasPrefix(id, "-") {
			return "", "", false
		}
		return songs[i].title, songs[i].artist, true
	})))
	mux.Handle("/", p)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.URL
}
