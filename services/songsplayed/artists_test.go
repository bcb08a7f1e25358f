package songsplayed

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// askedArtists counts how often a track is asked for.
type askedArtists struct {
	asked  map[string]int
	most   int // tracks of one call
	known  func(track string) string
	failed error
}

func (a *askedArtists) ask(_ context.Context, tracks []string) (map[string]string, error) {
	a.most = max(a.most, len(tracks))
	answer := map[string]string{}
	for _, t := range tracks {
		a.asked[t]++
		if artist := a.known(t); artist != "" {
			answer[t] = artist
		}
	}
	return answer, a.failed
}

func newCache(t *testing.T, a *askedArtists, most int) *artists {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.asked = map[string]int{}
	return newArtists(a.ask, most, m.artistLookups)
}

func TestArtistsAreRemembered(t *testing.T) {
	catalogue := &askedArtists{known: func(track string) string {
		if track == "unknown" {
			return ""
		}
		return "by-" + track
	}}
	cache := newCache(t, catalogue, 100)
	for range 3 {
		got, err := cache.of(t.Context(), []string{"a", "b", "unknown"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"a": "by-a", "b": "by-b"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	// What the catalogue lacks today it may have tomorrow.
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "unknown": 3}, catalogue.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestArtistsAreBounded(t *testing.T) {
	catalogue := &askedArtists{known: func(track string) string { return "by-" + track }}
	const most = 50
	cache := newCache(t, catalogue, most)
	tracks := make([]string, 2500)
	for i := range tracks {
		tracks[i] = fmt.Sprintf("t%d", i)
	}
	for _, track := range tracks {
		// One track that is always wanted is never forgotten.
		if _, err := cache.of(t.Context(), []string{track, "favourite"}); err != nil {
			t.Fatal(err)
		}
		if n := len(cache.young) + len(cache.old); n > 2*most {
			t.Fatalf("the cache holds %d tracks, want at most %d", n, 2*most)
		}
	}
	if n := catalogue.asked["favourite"]; n != 1 {
		t.Errorf("the favourite was asked for %d times, want once", n)
	}
	got, err := cache.of(t.Context(), tracks)
	if err != nil || len(got) != len(tracks) {
		t.Errorf("%d artists, error %v; want %d", len(got), err, len(tracks))
	}
	if catalogue.most > artistBatch {
		t.Errorf("the catalogue was asked about %d tracks at once, want at most %d", catalogue.most, artistBatch)
	}
}

func TestArtistsFail(t *testing.T) {
	away := errors.New("away")
	catalogue := &askedArtists{known: func(string) string { return "x" }, failed: away}
	cache := newCache(t, catalogue, 10)
	if _, err := cache.of(t.Context(), []string{"a"}); !errors.Is(err, away) {
		t.Errorf("%v, want the catalogue's error", err)
	}
	catalogue.failed = nil
	if got, err := cache.of(t.Context(), []string{"a"}); err != nil || got["a"] != "x" {
		t.Errorf("afterwards: %v, error %v", got, err)
	}
}
