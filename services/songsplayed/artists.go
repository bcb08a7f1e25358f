package songsplayed

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/shelves/shelf"
)

const (
	// artistCache is how many tracks a half of the cache holds: a full one takes some 20 MB.
	artistCache = 100_000
	// artistBatch is how many tracks the catalogue is asked about at once.
	artistBatch = 1_000
)

// ArtistsFrom makes Options.ArtistsOf from a catalogue, such as its client.
func ArtistsFrom(c shelf.Catalog) func(ctx context.Context, tracks []string) (map[string]string, error) {
	return func(ctx context.Context, tracks []string) (map[string]string, error) {
		known, err := c.Tracks(ctx, tracks...)
		if err != nil {
			return nil, err
		}
		artists := make(map[string]string, len(known))
		for id, t := range known {
			artists[id] = t.Artist
		}
		return artists, nil
	}
}

// artists remembers which artist a track is by. A track doesn't change its artist, so what is known is never
// asked again until it is forgotten; what isn't known is asked again, because a catalogue grows. It forgets by
// halves: when the young half is full it becomes the old one, and what is still asked for moves over.
type artists struct {
	ask     func(ctx context.Context, tracks []string) (map[string]string, error)
	most    int // of a half
	lookups *prometheus.CounterVec

	mu         sync.Mutex
	young, old map[string]string
}

func newArtists(ask func(context.Context, []string) (map[string]string, error), most int, lookups *prometheus.CounterVec) *artists {
	return &artists{ask: ask, most: most, lookups: lookups, young: map[string]string{}}
}

// of is the artist of each track that has one. It fails if the catalogue does.
func (a *artists) of(ctx context.Context, tracks []string) (map[string]string, error) {
	known := make(map[string]string, len(tracks))
	var missing []string
	a.mu.Lock()
	for _, t := range tracks {
		if artist, ok := a.recall(t); ok {
			known[t] = artist
		} else {
			missing = append(missing, t)
		}
	}
	a.mu.Unlock()
	a.lookups.WithLabelValues("cached").Add(float64(len(known)))
	a.lookups.WithLabelValues("asked").Add(float64(len(missing)))
	for batch := range slices.Chunk(missing, artistBatch) {
		found, err := a.ask(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("asking the catalogue for artists: %w", err)
		}
		a.mu.Lock()
		for _, t := range batch {
			if artist := found[t]; artist != "" {
				known[t] = artist
				a.remember(t, artist)
			}
		}
		a.mu.Unlock()
	}
	return known, nil
}

func (a *artists) recall(track string) (string, bool) {
	if artist, ok := a.young[track]; ok {
		return artist, true
	}
	artist, ok := a.old[track]
	if ok {
		a.remember(track, artist)
	}
	return artist, ok
}

func (a *artists) remember(track, artist string) {
	if len(a.young) >= a.most {
		a.young, a.old = make(map[string]string, a.most), a.young
	}
	a.young[track] = artist
}
