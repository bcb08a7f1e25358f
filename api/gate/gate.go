// Package gate bounds how many requests are worked on at once, and how many wait for that. Whoever finds both full is
// turned away at once: behind an overload, waiting longer only makes every answer late.
package gate

import (
	"context"
	"sync/atomic"
	"time"
)

// Gate lets a number of requests in at once and as many wait, so that one begins as soon as another ends. It is safe for
// concurrent use.
type Gate struct {
	places  chan struct{}
	waiting atomic.Int64
	wait    time.Duration
}

// New makes a Gate of atOnce places, 1 or more, that nobody waits for longer than wait.
func New(atOnce int, wait time.Duration) *Gate {
	return &Gate{places: make(chan struct{}, atOnce), wait: wait}
}

// Enter takes a place, waiting for one if others don't yet. False: there is none, or ctx has ended. Leave must follow
// true.
func (g *Gate) Enter(ctx context.Context) bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > int64(cap(g.places)) {
		return false
	}
	late := time.NewTimer(g.wait)
	defer late.Stop()
	select {
	case g.places <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

// Leave gives the place back.
func (g *Gate) Leave() { <-g.places }
