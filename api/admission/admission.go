// Package admission bounds how much is done at once. Whoever comes beyond that is told so at once: when there is ten times
// too much to do a queue is always full, so it would refuse as many and make everything that is done late.
package admission

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/apierror"
)

// Gate lets so many in and no more. It is safe for concurrent use.
type Gate struct {
	most    int64
	inside  atomic.Int64
	full    *apierror.Error // ready made, as refusing must cost next to nothing
	refused prometheus.Counter
}

// New makes a Gate with places for most, which tells the others full and counts them in refused.
func New(most int, full *apierror.Error, refused prometheus.Counter) *Gate {
	return &Gate{most: int64(most), full: full.Ready(), refused: refused}
}

// Enter takes a place, which the caller gives back with Leave. Its error says that none is free.
func (g *Gate) Enter() error {
	if g.inside.Add(1) > g.most {
		g.inside.Add(-1)
		g.refused.Inc()
		return g.full
	}
	return nil
}

// Leave gives a place back.
func (g *Gate) Leave() { g.inside.Add(-1) }

// Full refuses whoever can't enter now, as Enter does, and takes no place of whoever can: it is for those who have work to
// do before they know whether they need one.
func (g *Gate) Full() error {
	if g.inside.Load() < g.most {
		return nil
	}
	g.refused.Inc()
	return g.full
}
