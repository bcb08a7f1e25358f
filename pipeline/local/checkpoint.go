package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"homefeed/pipeline/local/snapshot"
)

// checkpoint is everything as of one position of the log. It goes through the consumers and outboxes like a
// message, so when it has arrived everywhere, all triggers and dead letters before it are published.
type checkpoint struct {
	keep    bool         // states are wanted, not only positions
	spent   atomic.Int64 // ns: what making it has cost so far
	left    atomic.Int32
	arrived chan struct{} // closed when left is 0

	mu     sync.Mutex
	state  snapshot.Snapshot
	oldest uint64 // lowest position of an event with a refresh to come; math.MaxUint64: none
	err    error
}

func newCheckpoint(pos uint64, watermark int64, keep bool, parts int) *checkpoint {
	c := &checkpoint{keep: keep, arrived: make(chan struct{}), oldest: math.MaxUint64}
	c.state.Pos, c.state.Watermark = pos, watermark
	c.left.Store(int32(parts))
	return c
}

func (c *checkpoint) arrive() {
	if c.left.Add(-1) == 0 {
		close(c.arrived)
	}
}

// needs says that the event at pos has a refresh to come.
func (c *checkpoint) needs(pos uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oldest = min(c.oldest, pos)
}

func (c *checkpoint) addListeners(states []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Listeners = append(c.state.Listeners, states)
}

func (c *checkpoint) addTrends(state [][]byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Trends, c.err = state, errors.Join(c.err, err)
}

// floor is the position behind which nothing is needed any more.
func (c *checkpoint) floor() uint64 { return min(c.state.Pos, c.oldest-1) }

// checkpointDone tells the sequencer what became of a checkpoint.
type checkpointDone struct {
	spent time.Duration
	err   error
}

// keepCheckpoints makes checkpoints durable and moves the floor, one after the other.
func (r *run) keepCheckpoints(ctx context.Context) error {
	for {
		var c *checkpoint
		var more bool
		select {
		case c, more = <-r.checkpoints:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !more {
			return nil
		}
		select {
		case <-c.arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		began := time.Now()
		err := r.save(ctx, c)
		if err != nil {
			r.metrics.checkpointErrors.Inc()
			r.cfg.Logger.Error("the floor stays: a checkpoint failed", "position", c.state.Pos, "error", err)
		}
		r.metrics.took("checkpoint", began)
		spent := time.Duration(c.spent.Load()) + time.Since(began)
		r.checkpointed <- checkpointDone{spent: spent, err: err} // there is room for one
	}
}

// save writes the file first: with it behind the floor nothing is missing, whichever of the two is older.
func (r *run) save(ctx context.Context, c *checkpoint) error {
	if c.err != nil {
		return c.err
	}
	before := r.floor.Load()
	floor := max(before, c.floor())
	if c.keep {
		c.state.FloorBefore = before
		if err := snapshot.Write(r.cfg.Dir, &c.state); err != nil {
			return fmt.Errorf("writing the snapshot: %w", err)
		}
	}
	if floor > before {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if err := r.cfg.Log.SetFloor(ctx, floor); err != nil {
			return fmt.Errorf("setting the floor to %d: %w", floor, err)
		}
		r.floor.Store(floor)
	}
	return nil
}
