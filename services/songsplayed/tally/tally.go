// Package tally counts plays by track or artist, one listener after the other in the same memory: every refresh counts,
// and what it needs for it is gone a moment later.
package tally

import (
	"cmp"
	"slices"
	"sync"
)

// Count is the plays of one id, and when the first and the last of them were, in milliseconds since 1970.
type Count struct {
	ID                 string
	Plays, First, Last int64
}

// Add adds plays, of which there is at least one.
func (c *Count) Add(plays, first, last int64) {
	if c.Plays == 0 {
		c.First, c.Last = first, last
	}
	c.Plays += plays
	c.First = min(c.First, first)
	c.Last = max(c.Last, last)
}

// Tally is counts by id. It comes from a Pool, and is for one goroutine.
type Tally struct {
	index  map[string]int // of counts, until they are sorted
	counts []Count
}

// Of is the count of an id, valid until the next call.
func (t *Tally) Of(id []byte) *Count {
	i, known := t.index[string(id)]
	if !known {
		i = len(t.counts)
		t.counts = append(t.counts, Count{ID: string(id)})
		t.index[t.counts[i].ID] = i
	}
	return &t.counts[i]
}

// Counts is all of them in any order, the Tally's own.
func (t *Tally) Counts() []Count { return t.counts }

// Top is the n with the most plays; of equals, what was played last, and then the smaller id. It ends the counting: the
// counts are the Tally's own, and Of is called no more.
func (t *Tally) Top(n int) []Count {
	slices.SortFunc(t.counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Plays, a.Plays), cmp.Compare(b.Last, a.Last), cmp.Compare(a.ID, b.ID))
	})
	return t.counts[:min(n, len(t.counts))]
}

// Pool has Tallies that were used before. The zero Pool is ready, and safe for concurrent use.
type Pool struct{ pool sync.Pool }

// most is the largest Tally that is used again, in ids: an index takes as long to clear as it was ever large.
const most = 4096

// Get is an empty Tally.
func (p *Pool) Get() *Tally {
	if t, ok := p.pool.Get().(*Tally); ok {
		return t
	}
	return &Tally{index: map[string]int{}}
}

// Put takes a Tally back, of whose counts nothing is used any more but the ids.
func (p *Pool) Put(t *Tally) {
	if len(t.counts) > most {
		return
	}
	clear(t.index)
	clear(t.counts)
	t.counts = t.counts[:0]
	p.pool.Put(t)
}
