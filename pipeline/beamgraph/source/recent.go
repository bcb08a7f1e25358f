package source

import (
	"context"
	"fmt"
	"sync"
	"time"

	"homefeed/pipeline/bus"
)

// Recent reads a bus.Log of its own for windows of event time. It has nothing to acknowledge: its floor stays keep
// of event time behind the newest event, so that a reader that starts again sees all of its open windows again.
type Recent struct {
	log    bus.Log
	keep   time.Duration
	limits Limits
	now    func() time.Time

	mu     sync.Mutex
	newest time.Time
	marks  []mark // rising in both
}

// mark says that no message up to pos is newer than newest.
type mark struct {
	pos    uint64
	newest time.Time
}

// NewRecent reads l, which it closes in Close.
func NewRecent(l bus.Log, keep time.Duration, limits Limits, now func() time.Time) *Recent {
	return &Recent{log: l, keep: keep, limits: limits.withDefaults(0), now: now}
}

// Pull returns what waits, at most most messages, without waiting for more, and moves the floor if it is time.
func (r *Recent) Pull(ctx context.Context, most int) (Batch, error) {
	batch, err := readWaiting(ctx, r.log, most, r.limits.Wait)
	if err != nil || len(batch.Messages) == 0 {
		return batch, err
	}
	floor := r.observe(batch.Messages, r.now())
	if floor == 0 {
		return batch, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.limits.Wait)
	defer cancel()
	if err := r.log.SetFloor(ctx, floor); err != nil {
		return Batch{}, fmt.Errorf("writing the floor of recent events: %w", err)
	}
	return batch, nil
}

// observe returns the floor that keep allows now, 0 for no change. Marks are a sixtieth of keep apart, so there
// are about sixty of them.
func (r *Recent) observe(messages []Message, now time.Time) (floor uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range messages {
		if t := messages[i].Time; t.After(r.newest) && !t.After(now) {
			r.newest = t
		}
	}
	last := messages[len(messages)-1].Receipt.Pos
	if n := len(r.marks); n == 0 || r.newest.Sub(r.marks[n-1].newest) >= r.keep/60 {
		r.marks = append(r.marks, mark{last, r.newest})
	}
	for len(r.marks) > 0 && r.newest.Sub(r.marks[0].newest) > r.keep {
		floor = r.marks[0].pos
		r.marks = r.marks[1:]
	}
	return floor
}

// Ack does nothing: see Recent.
func (r *Recent) Ack(context.Context, []Receipt) error { return nil }

// Close closes the log.
func (r *Recent) Close(context.Context) error { return r.log.Close() }
