package madeup

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/pipeline/event"
	"homefeed/services/catalog"
	"homefeed/services/word2vec/sgns"
)

func catalogText(t *testing.T, w *World) string {
	t.Helper()
	var b bytes.Buffer
	if err := w.WriteCatalog(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func playlistsText(t *testing.T, w *World) string {
	t.Helper()
	var b bytes.Buffer
	if err := w.WritePlaylists(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSameSeedSameWorld(t *testing.T) {
	a, b, other := New(7, Sizes{}), New(7, Sizes{}), New(8, Sizes{})
	if d := cmp.Diff(catalogText(t, a), catalogText(t, b)); d != "" {
		t.Errorf("catalogues of one seed differ:\n%s", d)
	}
	if playlistsText(t, a) != playlistsText(t, b) {
		t.Error("playlists of one seed differ")
	}
	if catalogText(t, a) == catalogText(t, other) || playlistsText(t, a) == playlistsText(t, other) {
		t.Error("another seed made the same world")
	}
}

func TestDefaultSizes(t *testing.T) {
	w := New(1, Sizes{})
	got := []int{len(w.artists), len(w.tracks), len(w.genres), len(w.Listeners()), strings.Count(playlistsText(t, w), "\n")}
	if d := cmp.Diff([]int{250, 2000, 12, 200, 4000}, got); d != "" {
		t.Errorf("artists, tracks, genres, listeners, playlists (-want +got):\n%s", d)
	}
}

func TestListeners(t *testing.T) {
	ids := New(1, Sizes{Listeners: 500}).Listeners()
	if ids[0] != "ada" {
		t.Errorf("first listener %q, want ada", ids[0])
	}
	for _, id := range ids {
		if !event.ValidUser(id) {
			t.Errorf("listener %q isn't a valid user", id)
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 500 {
		t.Errorf("%d different listeners, want 500", n)
	}
}

// TestCatalog reads the catalogue as the service does, and looks for every track and artist by the ids used here.
// Big worlds must number names, small ones have fewer genres.
func TestCatalog(t *testing.T) {
	for _, sizes := range []Sizes{{}, {Artists: 1, Tracks: 1}, {Artists: 5, Tracks: 9}, {Artists: 2000, Tracks: 20_000}, {Artists: 2, Tracks: 3000}} {
		w := New(3, sizes)
		c, err := catalog.Read(strings.NewReader(catalogText(t, w)), "made up")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range w.artists {
			if got, ok := c.Artist(a.id); !ok || got.Name != a.name {
				t.Errorf("%+v: artist %q with id %q is %+v in the catalogue (known %v)", sizes, a.name, a.id, got, ok)
			}
			for _, n := range a.tracks {
				tr := w.tracks[n]
				got, ok := c.Track(tr.id)
				if !ok || got.Title != tr.title || got.Artist != a.id {
					t.Errorf("%+v: track %q by %q with id %q is %+v in the catalogue (known %v)", sizes, tr.title, a.id, tr.id, got, ok)
				}
				if strings.ContainsAny(tr.title, "{}|") || strings.Contains(tr.title, "  ") {
					t.Errorf("title %q is half a template", tr.title)
				}
			}
		}
	}
}

// TestPlaylists checks that tracks of one playlist share the genre and the artist far more often than any two tracks.
func TestPlaylists(t *testing.T) {
	w := New(5, Sizes{})
	known := map[string]track{}
	for _, tr := range w.tracks {
		known[tr.id] = tr
	}
	used := map[string]bool{}
	var pairs, sameGenre, sameArtist, mixed, lists float64
	for list := range w.Playlists() {
		seen, inGenre := map[string]bool{}, map[int]int{}
		for i, id := range list {
			tr, ok := known[id]
			if !ok || seen[id] {
				t.Fatalf("track %q is unknown (%v) or twice in a playlist", id, !ok)
			}
			seen[id], used[id] = true, true
			inGenre[tr.genre]++
			if i == 0 {
				continue
			}
			before := known[list[i-1]]
			pairs++
			if before.genre == tr.genre {
				sameGenre++
			}
			if before.artist == tr.artist {
				sameArtist++
			}
		}
		lists++
		second := 0
		for g, n := range inGenre {
			if g != known[list[0]].genre {
				second = max(second, n)
			}
		}
		if 4*second > len(list) {
			mixed++
		}
	}
	if len(used) != len(w.tracks) {
		t.Errorf("%d of %d tracks are in a playlist", len(used), len(w.tracks))
	}
	if share := sameGenre / pairs; share < .8 || share > .97 { // by chance 1 in 12
		t.Errorf("%.3f of neighbours share the genre, want .8–.97", share)
	}
	if share := sameArtist / pairs; share < .2 || share > .6 { // by chance 1 in 250
		t.Errorf("%.3f of neighbours share the artist, want .2–.6", share)
	}
	if share := mixed / lists; share < .03 || share > .2 {
		t.Errorf("%.3f of playlists cross over into another genre, want .03–.2", share)
	}
	c, err := sgns.ReadCorpus(strings.NewReader(playlistsText(t, w)), sgns.Text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Playlists() != 4000 || c.Tracks() != len(w.tracks) {
		t.Errorf("the trainer reads %d playlists of %d tracks, want 4000 of %d", c.Playlists(), c.Tracks(), len(w.tracks))
	}
}

// fullDisk takes a few bytes and then fails.
type fullDisk struct{ room int }

var errFull = errors.New("disk full")

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return d.room, errFull
	}
	d.room -= len(p)
	return len(p), nil
}

func TestWriteErrors(t *testing.T) {
	w := New(1, Sizes{})
	if err := w.WriteCatalog(&fullDisk{10_000}); !errors.Is(err, errFull) {
		t.Errorf("WriteCatalog to a full disk: %v", err)
	}
	if err := w.WritePlaylists(&fullDisk{10_000}); !errors.Is(err, errFull) {
		t.Errorf("WritePlaylists to a full disk: %v", err)
	}
}

// TestAnySizes makes worlds of odd sizes, down to one track and one listener, and a few events of each.
func TestAnySizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 40)
		w := New(rapid.Uint64().Draw(t, "seed"), Sizes{
			Artists: size.Draw(t, "artists"), Tracks: size.Draw(t, "tracks"),
			Playlists: size.Draw(t, "playlists"), Listeners: size.Draw(t, "listeners"),
		})
		from := noon.AddDate(0, 0, rapid.IntRange(-20_000, 0).Draw(t, "days"))
		n := 0
		for e := range w.History(from, from.AddDate(0, 0, 2)) {
			n++
			if err := e.Validate(noon.AddDate(0, 0, 2)); err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
		}
		for e := range w.Live(from, 1e6) {
			n++
			if err := e.Validate(noon.AddDate(0, 0, 2)); err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			if n > 2000 {
				break
			}
		}
		for list := range w.Playlists() {
			if len(list) == 0 {
				t.Fatal("a playlist is empty")
			}
		}
	})
}
