package local

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
)

// batch is some consecutive entries of the log on their way. There are a fixed number, which bounds what is in
// flight; they go round.
type batch struct {
	entries []bus.Entry

	// What decoding and recording made of them.
	events   []event.Event
	pos      []uint64  // by event
	byShard  [][]int32 // indexes of events
	letters  []bus.Message
	newest   int64 // ms: event time; 0 without events
	finished chan struct{}

	users atomic.Int32 // who still read it
	home  chan<- *batch
}

func newBatch(shards int, home chan<- *batch) *batch {
	return &batch{byShard: make([][]int32, shards), finished: make(chan struct{}, 1), home: home}
}

// release is called by each user when it is done.
func (b *batch) release() {
	if b.users.Add(-1) > 0 {
		return
	}
	clear(b.events) // let go of the strings
	b.entries, b.events, b.pos, b.letters, b.newest = nil, b.events[:0], b.pos[:0], nil, 0
	for i := range b.byShard {
		b.byShard[i] = b.byShard[i][:0]
	}
	b.home <- b
}

func shardOf(user string, shards int) int { return int(xxhash.Sum64String(user) % uint64(shards)) }

// work decodes and records batches until there are no more.
func (r *run) work(ctx context.Context, batches <-chan *batch) error {
	for b := range batches {
		if err := r.decode(b); err != nil {
			return err
		}
		if err := r.record(ctx, b); err != nil {
			return err
		}
		for i := range b.events {
			s := shardOf(b.events[i].User, len(b.byShard))
			b.byShard[s] = append(b.byShard[s], int32(i))
			b.newest = max(b.newest, b.events[i].Time.UnixMilli())
		}
		b.finished <- struct{}{}
	}
	return nil
}

func (r *run) decode(b *batch) error {
	defer r.metrics.took("decode", time.Now())
	now := r.cfg.Clock.Now()
	for i := range b.entries {
		entry := &b.entries[i]
		e, err := pipeline.Decode(entry.Topic, entry.Data, now)
		if err != nil {
			if err := r.deadLetter(b, entry, err); err != nil {
				return err
			}
			r.metrics.deadDecode.Inc()
			continue
		}
		b.events, b.pos = append(b.events, e), append(b.pos, entry.Pos)
	}
	r.metrics.decoded.Add(float64(len(b.events)))
	return nil
}

func (r *run) record(ctx context.Context, b *batch) error {
	if len(b.events) == 0 {
		return nil
	}
	defer r.metrics.took("record", time.Now())
	rejected, err := pipeline.Record(ctx, r.cfg.Recorder, b.events, pipeline.Recording{
		Retry: func(err error, wait time.Duration) {
			r.metrics.recordRetries.Inc()
			r.cfg.Logger.Warn("events are not recorded yet", "events", len(b.events), "retry_in", wait, "error", err)
		},
	})
	if err != nil {
		return err
	}
	if len(rejected) > 0 {
		if err := r.reject(b, rejected); err != nil {
			return err
		}
	}
	r.metrics.recorded.Add(float64(len(b.events)))
	return nil
}

// reject turns refused events into dead letters and takes them out of the batch.
func (r *run) reject(b *batch, rejected []pipeline.Rejected) error {
	slices.SortFunc(rejected, func(a, c pipeline.Rejected) int { return c.Index - a.Index })
	for _, bad := range rejected {
		at, _ := slices.BinarySearchFunc(b.entries, b.pos[bad.Index], func(e bus.Entry, pos uint64) int {
			if e.Pos < pos {
				return -1
			}
			return int(min(e.Pos-pos, 1))
		})
		if err := r.deadLetter(b, &b.entries[at], bad.Reason); err != nil {
			return err
		}
		b.events = slices.Delete(b.events, bad.Index, bad.Index+1)
		b.pos = slices.Delete(b.pos, bad.Index, bad.Index+1)
		r.metrics.deadRecord.Inc()
	}
	return nil
}

func (r *run) deadLetter(b *batch, entry *bus.Entry, reason error) error {
	letter, err := pipeline.DeadLetter(entry.Topic, entry.Message, 1, reason)
	if err != nil {
		return fmt.Errorf("dead letter of position %d: %w", entry.Pos, err)
	}
	b.letters = append(b.letters, letter)
	r.cfg.Logger.Warn("message became a dead letter", "topic", entry.Topic, "position", entry.Pos, "letter", letter.ID)
	return nil
}
