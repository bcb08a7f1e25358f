// Package memlimit keeps what a process takes of memory for Go within a budget.
//
// Left alone, the collector lets the heap grow to a multiple of what is in use, so that a process gains several times
// what its caches do, for as long as these fill. A limit that never moves has it collect all the time when a flood's
// buffers need most of the budget. So the limit is the budget while at most half of that is in use, and beyond it moves
// with what is in use, which is bounded where it is held, and back.
package memlimit

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// room is how often what is in use fits in the limit. With a seventh more than what is in use, a flood's events cost
	// 60% more CPU than without a limit.
	room = 2
	// every is how often the limit is looked at. A collection takes some tenths of a second.
	every = time.Second
)

// For is the limit when so many bytes were in use after the last collection.
func For(budget, inUse int64) int64 { return max(budget, room*inUse) }

// Keep sets the limit of this process until ctx ends, when it is again what it was. The budget is in bytes, for all that
// Go takes: not for what C libraries allocate, nor for files that are mapped. It returns ctx's error.
func Keep(ctx context.Context, budget int64) error {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	limit := budget
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		metrics.Read(live)
		if want := For(budget, int64(live[0].Value.Uint64())); want != limit {
			limit = want
			debug.SetMemoryLimit(limit)
		}
	}
}
