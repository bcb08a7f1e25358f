package madeup

import (
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"homefeed/pipeline/event"
)

// Live is an endless stream of events in the order of time, none before from, so that it continues a History to from.
// All listeners together do perSecond events a second on average: their sessions go on at that pace, not at the
// tracks' lengths. The same from and rate give the same stream. The times are event times, apart by chance
// (exponentially): the caller paces the stream. Who is awake is heard from more often. A listener never does two
// things at once, so there are at most 1,000 events a second for each listener. If perSecond isn't positive there
// are none.
func (w *World) Live(from time.Time, perSecond float64) iter.Seq[event.Event] {
	return func(yield func(event.Event) bool) {
		if !(perSecond > 0) { // NaN neither
			return
		}
		s := newStage(w, ceilMilli(from))
		for elapsed := 0.; ; {
			elapsed += s.r.ExpFloat64() / perSecond
			s.now = max(s.now, s.from+int64(elapsed*1000))
			p := s.turn()
			if !yield(w.event(p.l, p.act(s.now))) {
				return
			}
		}
	}
}

// stage is all listeners at once.
type stage struct {
	r       *rand.Rand
	from    int64 // milliseconds, like now
	now     int64
	players []*player
	weights []float64 // summed up
	stale   int64     // when the weights must be made again
}

func newStage(w *World, from int64) *stage {
	s := &stage{r: rand.New(rand.NewPCG(mix(w.seed, 3), uint64(from))), from: from, now: from, stale: from}
	for i := range w.people {
		l := &w.people[i]
		p := &player{last: from - 1}
		p.ear = ear{w: w, l: l, r: rand.New(rand.NewPCG(mix(l.seed, 3), uint64(from)))}
		p.wake(l.localDay(from))
		s.players = append(s.players, p)
	}
	return s
}

// turn is whose turn it is: nobody's twice in a millisecond. When everybody had theirs, the clock moves on.
func (s *stage) turn() *player {
	if s.now >= s.stale {
		s.weigh()
	}
	n := len(s.players)
	first, _ := slices.BinarySearch(s.weights, s.r.Float64()*s.weights[n-1])
	for i := range n {
		if p := s.players[(first+i)%n]; p.last < s.now {
			return p
		}
	}
	s.now++
	return s.players[first]
}

// weigh makes the weights for the next ten minutes. At night a quarter is left, so that a short show has everybody.
func (s *stage) weigh() {
	s.weights = s.weights[:0]
	sum := 0.
	for _, p := range s.players {
		sum += p.l.appetite * (.25 + .75*p.l.awake(s.now))
		s.weights = append(s.weights, sum)
	}
	s.stale = s.now + 10*60_000
}

// player is a listener in the middle of a session.
type player struct {
	ear
	last   int64  // when the latest deed was, milliseconds
	left   int    // tracks of the session
	wishes []deed // reactions to the latest track, still to come
}

// act is what the listener does now.
func (p *player) act(now int64) deed {
	p.last = now
	if len(p.wishes) > 0 {
		d := p.wishes[0]
		p.wishes = p.wishes[1:]
		d.ms = now
		return d
	}
	if day := p.l.localDay(now); day != p.day {
		p.wake(day)
	}
	if p.left == 0 {
		p.sit()
		p.left = 3 + p.r.IntN(12)
	}
	p.left--
	t, loved := p.next()
	heart, follow := p.reacts(loved)
	p.wishes = p.wishes[:0]
	if heart {
		p.wishes = append(p.wishes, deed{kind: event.Hearted, object: t})
	}
	if follow {
		p.wishes = append(p.wishes, deed{kind: event.Followed, object: p.w.tracks[t].artist})
	}
	return deed{now, event.Played, t}
}
