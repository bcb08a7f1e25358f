package shelftest

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"homefeed/shelves/shelf"
)

// Noon is the time as of which a World is looked at unless it says otherwise.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// World is everything that a shelf can ask about. The zero World is a listener who never did anything.
type World struct {
	AsOf    time.Time // zero: Noon
	Plays   []shelf.Play
	Hearts  []shelf.Play
	Follows []shelf.Follow
	// Tracks is the catalogue, each artist's tracks most popular first. When it is nil every id with a dot in it is
	// known: "mozart.k525" is the track "K525" of the artist "mozart", called "Mozart".
	Tracks []shelf.Track
	// Vectors is the model: tracks are near when their vectors point the same way.
	Vectors map[string][]float32
	// Market and Top are for a Market shelf.
	Market string
	Top    []shelf.Count
}

// Played is one play of each track, a minute apart, the last one at Noon.
func Played(tracks ...string) []shelf.Play {
	plays := make([]shelf.Play, len(tracks))
	for i, track := range tracks {
		plays[i] = shelf.Play{Track: track, Time: Noon.Add(time.Duration(i+1-len(tracks)) * time.Minute)}
	}
	return plays
}

// Times is n plays of a track, a minute apart, the last one ago before Noon.
func Times(n int, track string, ago time.Duration) []shelf.Play {
	plays := make([]shelf.Play, n)
	for i := range plays {
		plays[i] = shelf.Play{Track: track, Time: Noon.Add(time.Duration(i+1-n)*time.Minute - ago)}
	}
	return plays
}

// Followed is one follow of each artist, a minute apart, the last one at Noon.
func Followed(artists ...string) []shelf.Follow {
	follows := make([]shelf.Follow, len(artists))
	for i, play := range Played(artists...) {
		follows[i] = shelf.Follow{Artist: play.Track, Time: play.Time}
	}
	return follows
}

func (w *World) asOf() time.Time {
	if w.AsOf.IsZero() {
		return Noon
	}
	return w.AsOf
}

// SongsPlayed is a client that answers from the World as of asOf.
func (w *World) SongsPlayed(asOf time.Time) shelf.SongsPlayed { return plays{w, asOf} }

// Word2Vec is a client that compares the World's vectors one by one.
func (w *World) Word2Vec() shelf.Word2Vec { return vectors{w} }

// Catalog is a client of the World's catalogue.
func (w *World) Catalog() shelf.Catalog { return catalog{w} }

type plays struct {
	w    *World
	asOf time.Time
}

// count sums up the plays from AsOf−since to AsOf by what of says; "" is left out.
func (p plays) count(ps []shelf.Play, since time.Duration, of func(track string) string) []shelf.Count {
	byID := map[string]shelf.Count{}
	for _, play := range ps {
		id := of(play.Track)
		if id == "" || play.Time.After(p.asOf) || since > 0 && play.Time.Before(p.asOf.Add(-since)) {
			continue
		}
		c, seen := byID[id]
		if !seen || play.Time.Before(c.First) {
			c.First = play.Time
		}
		if play.Time.After(c.Last) {
			c.Last = play.Time
		}
		c.ID = id
		c.Plays++
		byID[id] = c
	}
	return slices.Collect(maps.Values(byID))
}

func itself(track string) string { return track }

func newestFirst(a, b shelf.Count) int {
	return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID))
}

func mostFirst(a, b shelf.Count) int {
	return cmp.Or(cmp.Compare(b.Plays, a.Plays), newestFirst(a, b))
}

func first[T any](s []T, n int) []T { return s[:min(len(s), n)] }

func (p plays) newest(ps []shelf.Play, n int) []shelf.Play {
	counts := p.count(ps, 0, itself)
	slices.SortFunc(counts, newestFirst)
	var newest []shelf.Play
	for _, c := range first(counts, n) {
		newest = append(newest, shelf.Play{Track: c.ID, Time: c.Last})
	}
	return newest
}

func (p plays) Recent(ctx context.Context, n int) ([]shelf.Play, error) {
	return p.newest(p.w.Plays, n), ctx.Err()
}

func (p plays) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	counts := p.count(p.w.Plays, since, itself)
	slices.SortFunc(counts, mostFirst)
	return first(counts, n), ctx.Err()
}

func (p plays) TopArtists(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	known := p.w.catalog()
	counts := p.count(p.w.Plays, since, func(track string) string { return known(track).Artist })
	slices.SortFunc(counts, mostFirst)
	return first(counts, n), ctx.Err()
}

func (p plays) Hearts(ctx context.Context, n int) ([]shelf.Play, error) {
	return p.newest(p.w.Hearts, n), ctx.Err()
}

func (p plays) Follows(ctx context.Context, n int) ([]shelf.Follow, error) {
	var as []shelf.Play
	for _, f := range p.w.Follows {
		as = append(as, shelf.Play{Track: f.Artist, Time: f.Time})
	}
	var follows []shelf.Follow
	for _, f := range p.newest(as, n) {
		follows = append(follows, shelf.Follow{Artist: f.Track, Time: f.Time})
	}
	return follows, ctx.Err()
}

type vectors struct{ w *World }

func (v vectors) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) ([]shelf.Neighbour, error) {
	var mean []float64
	out := map[string]bool{}
	for _, s := range seeds {
		out[s.Track] = true
		for i, x := range unit(v.w.Vectors[s.Track]) {
			if i == len(mean) {
				mean = append(mean, 0)
			}
			mean[i] += x * float64(cmp.Or(s.Weight, 1))
		}
	}
	if mean == nil {
		return nil, ctx.Err()
	}
	for _, track := range exclude {
		out[track] = true
	}
	mean = unit(mean)
	var near []shelf.Neighbour
	for track, vector := range v.w.Vectors {
		if out[track] {
			continue
		}
		var dot float64
		for i, x := range unit(vector) {
			dot += x * mean[i]
		}
		near = append(near, shelf.Neighbour{Track: track, Similarity: float32(dot)})
	}
	slices.SortFunc(near, func(a, b shelf.Neighbour) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Track, b.Track))
	})
	return first(near, k), ctx.Err()
}

func unit[F float32 | float64](v []F) []float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	u := make([]float64, len(v))
	for i, x := range v {
		u[i] = float64(x) / math.Sqrt(sum)
	}
	return u
}

type catalog struct{ w *World }

// catalog is what the World's catalogue says of a track; nothing when it doesn't know it.
func (w *World) catalog() func(track string) shelf.Track {
	if w.Tracks == nil {
		return madeUp
	}
	known := make(map[string]shelf.Track, len(w.Tracks))
	for _, t := range w.Tracks {
		known[t.ID] = t
	}
	return func(track string) shelf.Track { return known[track] }
}

func madeUp(id string) shelf.Track {
	artist, title, ok := strings.Cut(id, ".")
	if !ok || artist == "" || title == "" {
		return shelf.Track{}
	}
	t := shelf.Track{ID: id, Title: capital(title), Artist: artist, ArtistName: capital(artist)}
	t.Image = shelf.Image{Template: "/art/track/" + id + "?s={size}", Colors: []string{"#203040", "#f0e0d0"}, Alt: t.Title}
	return t
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (c catalog) Tracks(ctx context.Context, ids ...string) (map[string]*shelf.Track, error) {
	look := c.w.catalog()
	known := map[string]*shelf.Track{}
	for _, id := range ids {
		if t := look(id); t.ID != "" {
			known[id] = &t
		}
	}
	return known, ctx.Err()
}

func (c catalog) Artists(ctx context.Context, ids ...string) (map[string]shelf.Artist, error) {
	known := map[string]shelf.Artist{}
	for _, t := range c.w.tracks() {
		if slices.Contains(ids, t.Artist) {
			known[t.Artist] = shelf.Artist{ID: t.Artist, Name: t.ArtistName, Image: t.Image}
		}
	}
	return known, ctx.Err()
}

func (c catalog) ArtistTracks(ctx context.Context, artist string, n int) ([]shelf.Track, error) {
	var of []shelf.Track
	for _, t := range c.w.tracks() {
		if t.Artist == artist {
			of = append(of, t)
		}
	}
	return first(of, n), ctx.Err()
}

// tracks is the catalogue; when every id is known, the tracks that the World mentions, by id.
func (w *World) tracks() []shelf.Track {
	if w.Tracks != nil {
		return w.Tracks
	}
	mentioned := maps.Clone(w.Vectors)
	if mentioned == nil {
		mentioned = map[string][]float32{}
	}
	for _, p := range slices.Concat(w.Plays, w.Hearts) {
		mentioned[p.Track] = nil
	}
	for _, c := range w.Top {
		mentioned[c.ID] = nil
	}
	var tracks []shelf.Track
	for _, id := range slices.Sorted(maps.Keys(mentioned)) {
		if t := madeUp(id); t.ID != "" {
			tracks = append(tracks, t)
		}
	}
	return tracks
}
