package madeup

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"homefeed/cmd/dev/madeup/names"
)

const (
	favourites      = 24 // tracks that a listener always comes back to
	favouriteBands  = 8
	meanPlays       = 25 // of a listener in a day
	hourMillis      = int64(time.Hour / time.Millisecond)
	millisecondsDay = 24 * hourMillis
)

// listener is a person's habits, which never change.
type listener struct {
	name     string
	seed     uint64
	prefix   string // of events' ids
	market   int
	offset   int64        // of the local day, milliseconds ahead of UTC
	taste    []preference // the first the strongest
	tracks   []int32      // favourites, best first
	artists  []int32      // likewise
	appetite float64      // plays a day
	hours    rhythm       // summed up; the last is the whole
}

// preference is a genre and its share of what a listener plays.
type preference struct {
	genre int
	share float64
}

// Listeners are the ids of all listeners; ada is the first.
func (w *World) Listeners() []string {
	ids := make([]string, len(w.people))
	for i := range w.people {
		ids[i] = w.people[i].name
	}
	return ids
}

func (w *World) makeListeners(r *rand.Rand, n int) {
	known := names.Listeners()
	var homes []int // each market as often as its weight
	for i, m := range markets {
		homes = append(homes, slices.Repeat([]int{i}, m.weight)...)
	}
	for i := range n {
		name := known[i%len(known)]
		if round := i / len(known); round > 0 {
			name += strconv.Itoa(round + 1)
		}
		l := listener{
			name: name, seed: mix(w.seed, uint64(i)),
			prefix:   "madeup-" + strconv.FormatUint(w.seed, 36) + "-" + name + "-",
			appetite: meanPlays * (.4 + 1.5*r.Float64()),
			market:   homes[r.IntN(len(homes))],
			hours:    rhythms[r.IntN(len(rhythms))],
		}
		if i == 0 { // the one that demonstrations show: keen, and of a known market
			l.market, l.appetite = 0, 1.6*meanPlays
		}
		l.offset = int64(markets[l.market].hours * float64(hourMillis))
		for h := 1; h < len(l.hours); h++ {
			l.hours[h] += l.hours[h-1]
		}
		w.makeTaste(r, &l)
		w.people = append(w.people, l)
	}
}

func (w *World) makeTaste(r *rand.Rand, l *listener) {
	order := r.Perm(len(w.genres))
	if lead := markets[l.market].genre % len(w.genres); r.IntN(3) == 0 {
		at := slices.Index(order, lead)
		order[0], order[at] = order[at], order[0]
	}
	shares := []float64{.65, .35}
	if r.IntN(2) == 0 {
		shares = []float64{.6, .28, .12}
	}
	for i, share := range shares[:min(len(shares), len(order))] {
		l.taste = append(l.taste, preference{order[i], share})
	}
	for range favourites {
		g := &w.genres[l.genre(r.Float64())]
		l.tracks = append(l.tracks, g.tracks[skewed(r, len(g.tracks))])
	}
	for range favouriteBands {
		g := &w.genres[l.genre(r.Float64())]
		l.artists = append(l.artists, g.artists[r.IntN(len(g.artists))])
	}
}

// genre is one of the taste, by chance from 0 to 1.
func (l *listener) genre(chance float64) int {
	for _, p := range l.taste {
		if chance -= p.share; chance < 0 {
			return p.genre
		}
	}
	return l.taste[0].genre
}

// localDay is the listener's day at a time in milliseconds, counted from 1970.
func (l *listener) localDay(ms int64) int64 { return floorDiv(ms+l.offset, millisecondsDay) }

// dayStart is when a listener's day begins, in milliseconds.
func (l *listener) dayStart(day int64) int64 { return day*millisecondsDay - l.offset }

// awake is how much the listener listens in the local hour, as a share of the hour with the most.
func (l *listener) awake(ms int64) float64 {
	now := (ms - l.dayStart(l.localDay(ms))) / hourMillis
	var before, most, weight float64
	for h, sum := range l.hours {
		most = max(most, sum-before)
		if h == int(now) {
			weight = sum - before
		}
		before = sum
	}
	return weight / most
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// market is where listeners live.
type market struct {
	code   string  // ISO 3166-1 alpha-2, or empty: unknown
	hours  float64 // ahead of UTC
	weight int     // of its number of listeners
	genre  int     // in which it takes the lead
}

var markets = [...]market{
	{"SE", 1, 18, 7}, {"US", -5, 24, 9}, {"DE", 1, 14, 6}, {"JP", 9, 12, 11}, {"BR", -3, 12, 8},
	{"GB", 0, 8, 2}, {"IN", 5.5, 5, 4}, {"KE", 3, 3, 10}, {"", 0, 4, 3},
}

// rhythm is how a kind of listener spreads listening over the local day: a weight for each hour.
type rhythm [24]float64

var rhythms = [...]rhythm{
	{.1, .05, .02, .02, .05, .5, 3, 6, 6, 3, 2, 1.5, 1.5, 1, 1, 1, 1.5, 2, 2, 1.5, 1, .8, .4, .2},     // mornings
	{.2, .05, .02, .02, .02, .2, 1, 5, 6, 1, .5, .5, 1, .5, .5, 1, 4, 6, 4, 2, 1.5, 1, .8, .4},        // on the way
	{.3, .1, .05, .02, .02, .05, .2, .5, 1, 1, 1, 1, 1.5, 1, 1, 1, 1.5, 2, 4, 6, 7, 6, 3.5, 1},        // evenings
	{.1, .03, .02, .02, .02, .1, .3, 1, 3, 5, 5, 4.5, 3, 4, 5, 4.5, 3.5, 2, 1.5, 1.5, 1.5, 1, .5, .2}, // at work
}
