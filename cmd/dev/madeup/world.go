package madeup

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"

	"homefeed/cmd/dev/madeup/names"
)

// Sizes of a world. What is zero or less gets its default.
type Sizes struct {
	Artists   int // 250; at most as many as tracks
	Tracks    int // 2,000
	Playlists int // 4,000
	Listeners int // 200
}

func (s Sizes) withDefaults() Sizes {
	for _, d := range []struct {
		size *int
		or   int
	}{{&s.Artists, 250}, {&s.Tracks, 2000}, {&s.Playlists, 4000}, {&s.Listeners, 200}} {
		if *d.size <= 0 {
			*d.size = d.or
		}
	}
	s.Artists = min(s.Artists, s.Tracks)
	return s
}

// World is made-up music and the people who listen to it. It never changes, so any number of goroutines may use it.
type World struct {
	seed      uint64
	artists   []artist
	tracks    []track
	genres    []stock
	people    []listener
	playlists int
}

type artist struct {
	id, name string // the id is the one that the catalogue service makes of the name
	genre    int
	tracks   []int32
}

type track struct {
	id, title  string
	artist     int32
	genre      int
	popularity float64 // from 0 to 1
	seconds    int64   // how long it plays
}

// stock is what a genre has.
type stock struct {
	artists []int32
	tracks  []int32 // most popular first
}

// New makes the world of a seed: the same seed and sizes, the same world. It takes some milliseconds.
func New(seed uint64, sizes Sizes) *World {
	sizes = sizes.withDefaults()
	w := &World{seed: seed, playlists: sizes.Playlists}
	r := rand.New(rand.NewPCG(seed, 1))
	w.makeArtists(r, sizes.Artists)
	w.makeTracks(r, sizes.Tracks)
	w.makeListeners(r, sizes.Listeners)
	return w
}

func (w *World) makeArtists(r *rand.Rand, n int) {
	w.genres = make([]stock, min(len(names.Genres()), n))
	taken := map[string]bool{}
	for i := range n {
		a := artist{genre: i % len(w.genres)}
		genre := &names.Genres()[a.genre]
		a.name = fresh(taken, func() string { return genre.Artist(r) })
		if genre.Band() && r.IntN(3) == 0 {
			a.name = "The " + a.name
		}
		a.id = names.Slug(a.name)
		w.artists = append(w.artists, a)
		g := &w.genres[a.genre]
		g.artists = append(g.artists, int32(i))
	}
}

// makeTracks gives each artist one track, and the rest to some more than to others.
func (w *World) makeTracks(r *rand.Rand, n int) {
	taken := make([]map[string]bool, len(w.artists))
	for i := range taken {
		taken[i] = map[string]bool{}
	}
	for i := range n {
		a := i
		if i >= len(w.artists) {
			a = r.IntN(len(w.artists))
			if r.IntN(4) == 0 {
				a = skewed(r, len(w.artists))
			}
		}
		by := &w.artists[a]
		t := track{artist: int32(a), genre: by.genre, seconds: 180 + r.Int64N(61)}
		t.title = fresh(taken[a], func() string { return names.Genres()[by.genre].Title(r) })
		t.id = by.id + "." + names.Slug(t.title)
		t.popularity = 1 / float64(1+len(by.tracks)) * (.3 + .7*r.Float64())
		by.tracks = append(by.tracks, int32(i))
		g := &w.genres[by.genre]
		g.tracks = append(g.tracks, int32(i))
		w.tracks = append(w.tracks, t)
	}
	for _, g := range w.genres {
		slices.SortFunc(g.tracks, func(x, y int32) int {
			return cmp.Or(cmp.Compare(w.tracks[y].popularity, w.tracks[x].popularity), cmp.Compare(x, y))
		})
	}
}

// fresh is a name whose slug isn't taken yet, and takes it. A name that is always taken gets a number.
func fresh(taken map[string]bool, name func() string) string {
	var s string
	for range 20 {
		s = name()
		if key := names.Slug(s); !taken[key] {
			taken[key] = true
			return s
		}
	}
	for i := 2; ; i++ {
		numbered := s + " " + strconv.Itoa(i)
		if key := names.Slug(numbered); !taken[key] {
			taken[key] = true
			return numbered
		}
	}
}

// skewed is a number below n, small ones more often: half of the draws fall into the first quarter.
func skewed(r *rand.Rand, n int) int {
	u := r.Float64()
	return int(u * u * float64(n))
}

// mix makes one number of several, so that near ones end far apart.
func mix(values ...uint64) uint64 {
	var h uint64
	for _, v := range values {
		h += v + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
