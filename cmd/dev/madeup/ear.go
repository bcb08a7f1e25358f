package madeup

import (
	"math/rand/v2"
	"slices"
)

// Loves: a listener always has a few tracks that are played over and over for some weeks, and then dropped.
const (
	lovesEach = 2 // tracks a slot
	dropped   = 4 // how many loves of a slot back a track stays dropped
	remembers = 10
)

// loveDays is how long a slot's love lasts.
var loveDays = [...]int64{9, 15, 24}

type love struct {
	track    int32
	age      int64 // whole days
	hearted  bool  // today
	followed bool  // today
}

// ear chooses what a listener hears next.
type ear struct {
	w      *World
	l      *listener
	r      *rand.Rand
	day    int64
	loves  []love
	exes   []int32 // loved until lately: not played again
	mood   int     // the genre of the session
	recent []int32 // played in the session, newest last
}

// wake begins a day: what is loved depends on the listener and the day alone.
func (e *ear) wake(day int64) {
	e.day, e.loves, e.exes = day, e.loves[:0], e.exes[:0]
	for slot, days := range loveDays {
		phase := int64(mix(e.l.seed, uint64(slot)) % uint64(days))
		period := floorDiv(day+phase, days)
		for back := range int64(1 + dropped) {
			for i := range lovesEach {
				t := e.beloved(slot, period-back, i)
				if back == 0 {
					e.loves = append(e.loves, love{track: t, age: day + phase - period*days})
				} else {
					e.exes = append(e.exes, t)
				}
			}
		}
	}
}

func (e *ear) beloved(slot int, period int64, i int) int32 {
	chance := mix(e.l.seed, uint64(slot), uint64(period), uint64(i))
	tracks := e.w.genres[e.l.genre(float64(chance>>11)/(1<<53))].tracks
	return tracks[mix(chance)%uint64(len(tracks))]
}

// sit begins a session.
func (e *ear) sit() {
	e.mood, e.recent = e.l.genre(e.r.Float64()), e.recent[:0]
}

// next is the next track, and which of e.loves it is; -1 if it is none.
func (e *ear) next() (t int32, loved int) {
	loved = -1
	for try := range 8 {
		t, loved = e.choose()
		switch {
		case slices.Contains(e.recent, t), loved < 0 && slices.Contains(e.exes, t):
			continue
		case try < 3 && e.w.tracks[t].genre != e.mood && e.r.IntN(4) > 0:
			continue
		}
		e.remember(t)
		return t, loved
	}
	// Something else of the genre, then. In a very small world it may be one of those again.
	tracks := e.w.genres[e.mood].tracks
	from := e.r.IntN(len(tracks))
	for i := range tracks {
		t = tracks[(from+i)%len(tracks)]
		if !slices.Contains(e.recent, t) && !slices.Contains(e.exes, t) {
			break
		}
	}
	e.remember(t)
	return t, -1
}

func (e *ear) choose() (t int32, loved int) {
	r, w := e.r, e.w
	switch chance := r.Float64(); {
	case chance < .32:
		i := r.IntN(len(e.loves))
		return e.loves[i].track, i
	case chance < .52:
		return e.l.tracks[skewed(r, len(e.l.tracks))], -1
	case chance < .68:
		return e.by(e.l.artists[skewed(r, len(e.l.artists))]), -1
	case chance < .78 && len(e.recent) > 0:
		return e.by(w.tracks[e.recent[len(e.recent)-1]].artist), -1
	case chance < .84:
		return e.hit(), -1
	case chance < .98:
		tracks := w.genres[e.mood].tracks
		return tracks[skewed(r, len(tracks))], -1
	}
	return int32(r.IntN(len(w.tracks))), -1
}

func (e *ear) by(artist int32) int32 {
	tracks := e.w.artists[artist].tracks
	return tracks[skewed(e.r, len(tracks))]
}

// hit is one of the ten tracks that the listener's market plays this week.
func (e *ear) hit() int32 {
	week, place := floorDiv(e.day, 7), skewed(e.r, 10)
	chance := mix(e.w.seed, uint64(e.l.market), uint64(week), uint64(place))
	g := markets[e.l.market].genre
	if place%2 == 1 {
		g = int(chance >> 32)
	}
	tracks := e.w.genres[g%len(e.w.genres)].tracks
	return tracks[chance%uint64(1+len(tracks)/4)]
}

func (e *ear) remember(t int32) {
	if len(e.recent) == remembers {
		e.recent = slices.Delete(e.recent, 0, 1)
	}
	e.recent = append(e.recent, t)
}

// reacts says whether the listener hearts a track that has just come on, and whether the artist gets a follower. A
// love is hearted on its second day, and on the third its artist may be followed.
func (e *ear) reacts(loved int) (heart, follow bool) {
	heart, follow = e.r.IntN(120) == 0, e.r.IntN(600) == 0
	if loved < 0 {
		return heart, follow
	}
	l := &e.loves[loved]
	heart = !l.hearted && l.age == 1
	follow = !l.followed && l.age == 2 && loved%lovesEach == 0
	l.hearted = l.hearted || heart
	l.followed = l.followed || follow
	return heart, follow
}
