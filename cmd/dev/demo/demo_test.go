package demo

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api/homepb"
	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelfpb"
)

// frontDoor is an API that takes every event and shows one Home.
type frontDoor struct {
	t *testing.T

	mu      sync.Mutex
	busy    int             // refuse so many batches
	history map[string]bool // ids of what came before Home was asked for
	shown   bool
	played  func() // called when something comes after that
}

func (f *frontDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var answer proto.Message
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/events":
		if f.busy > 0 {
			f.busy--
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		request := new(eventpb.WriteEventsRequest)
		if err != nil || proto.Unmarshal(body, request) != nil || r.Header.Get("Authorization") != "Bearer dev-service:importer" {
			f.t.Errorf("a batch that is none: %v", err)
		}
		for _, e := range request.Events {
			if f.shown {
				f.played()
			} else {
				f.history[e.GetId()] = true
			}
		}
		answer = new(eventpb.WriteEventsResponse)
	case "GET /v1/home":
		if got := r.Header.Get("Authorization"); got != "Bearer dev-user:ada" {
			f.t.Errorf("Home of %q, want ada's", got)
		}
		f.shown, answer = true, home(time.Now())
	}
	body, err := proto.Marshal(answer)
	if err != nil {
		f.t.Error(err)
	}
	_, _ = w.Write(body)
}

// home is one that a demo need not wait for.
func home(asOf time.Time) *homepb.Home {
	return &homepb.Home{Shelves: []*shelfpb.Shelf{
		{Name: "recently_played", Title: "Recently played", Status: shelfpb.Status_FRESH, AsOf: timestamppb.New(asOf),
			Cards: []*shelfpb.Card{{Title: "Northbound", Subtitle: "Ida Verne"}}},
		{Name: "trending", Title: "Trending", Status: shelfpb.Status_FRESH, AsOf: timestamppb.New(asOf)},
	}}
}

// TestRun holds that the history is sent once, whole, also through an API that is busy at first; that Home is
// printed; that listeners then play live; and that another run goes on from there.
func TestRun(t *testing.T) {
	world, dir := madeup.New(1, madeup.Sizes{Artists: 10, Tracks: 50, Playlists: 10, Listeners: 5}), t.TempDir()
	run := func(busy int) (history map[string]bool, printed string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		door := &frontDoor{t: t, busy: busy, history: map[string]bool{}, played: cancel}
		server := httptest.NewServer(door)
		defer server.Close()
		var out bytes.Buffer
		if err := Run(ctx, Config{World: world, URL: server.URL, Dir: dir, Days: 2, Rate: 100, Out: &out}); err != nil {
			t.Errorf("%v, want nothing when it is ended", err)
		}
		return door.history, out.String()
	}
	history, printed := run(1)
	if len(history) < 10 || !strings.Contains(printed, "Home of ada") || !strings.Contains(printed, "Northbound") {
		t.Errorf("%d events of history and\n%s", len(history), printed)
	}
	if history, printed := run(0); len(history) > 0 || !strings.Contains(printed, "Home of ada") {
		t.Errorf("the second time: %d events of history again, and\n%s", len(history), printed)
	}
}

// TestRefused holds that an event which the API doesn't take ends the demo with the API's reason.
func TestRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body, err := proto.Marshal(&eventpb.WriteEventsResponse{Results: []*eventpb.EventResult{{Id: "e-1", Field: "time", Error: "want a time"}}})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	world := madeup.New(1, madeup.Sizes{Artists: 10, Tracks: 50, Playlists: 10, Listeners: 5})
	err := Run(t.Context(), Config{World: world, URL: server.URL, Dir: t.TempDir(), Days: 2, Rate: 100, Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "event e-1 was refused: time: want a time") {
		t.Errorf("%v, want why e-1 was refused", err)
	}
}

// TestComplete holds what is waited for before Home is printed.
func TestComplete(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		home *homepb.Home
		want bool
	}{
		"nothing":               {&homepb.Home{}, false},
		"all of it":             {home(now), true},
		"older than the last":   {home(now.Add(-time.Second)), false},
		"trends of yesterday":   {&homepb.Home{Shelves: []*shelfpb.Shelf{{Name: "trending", Status: shelfpb.Status_LAST_GOOD}}}, false},
		"what plays can't make": {&homepb.Home{Shelves: []*shelfpb.Shelf{{Name: "jump_back_in", Status: shelfpb.Status_LEFT_OUT}}}, true},
	} {
		if got := complete(c.home, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestPrintHome holds what a terminal shows: shelves side by side in columns, and none that is left out.
func TestPrintHome(t *testing.T) {
	h := home(time.Unix(1000, 0))
	for range 6 {
		h.Shelves[0].Cards = append(h.Shelves[0].Cards, &shelfpb.Card{Title: "A title much longer than a card", Subtitle: "Ö"})
	}
	h.Shelves[1].Status = shelfpb.Status_LEFT_OUT
	var out bytes.Buffer
	printHome(&out, "ada", h, time.Unix(1090, 0))
	cut := "A title much longe… "
	want := "\nHome of ada\n\n  Recently played  (fresh, as of 1m30s ago)\n    Northbound          " + strings.Repeat(cut, 4) + "+2\n" +
		"    Ida Verne           " + strings.TrimRight(strings.Repeat("Ö                   ", 4), " ") + "\n\n"
	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}
