package local

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/local/listeners"
	"homefeed/pipeline/local/outbox"
	"homefeed/pipeline/local/snapshot"
	"homefeed/pipeline/trigger"
)

// message is what the sequencer passes on: a batch, the watermark behind it, and perhaps a checkpoint behind both.
type message struct {
	batch      *batch // nil: only time has passed
	watermark  int64  // ms
	checkpoint *checkpoint
}

// consumer decides about what it is passed, in one goroutine.
type consumer struct {
	in   chan message
	next atomic.Int64 // ms: when it has something to do; math.MaxInt64: never
	// decide handles a message and returns when there is something to do next.
	decide func(ctx context.Context, m message) (int64, error)
}

// consume handles what comes until in is closed.
func (r *run) consume(ctx context.Context, c *consumer) error {
	for m := range c.in {
		began := time.Now()
		next, err := c.decide(ctx, m)
		if err != nil {
			return err
		}
		if m.batch != nil {
			m.batch.release()
			r.metrics.took("decide", began)
		}
		c.next.Store(next)
		if next < r.armed.Load() {
			r.wakeUp()
		}
	}
	return nil
}

// shard decides for the listeners that belong to it.
type shard struct {
	number    int
	listeners *listeners.Set
	late      late
	ready     []bus.Message
	outbox    *outbox.Outbox
	metrics   *metrics
	timers    int // as the metrics know
}

func (s *shard) decide(ctx context.Context, m message) (int64, error) {
	emit := func(fired []trigger.Trigger) error { return s.emit(ctx, fired) }
	if m.batch != nil {
		for _, i := range m.batch.byShard[s.number] {
			if err := emit(s.listeners.Add(m.batch.events[i], m.batch.pos[i])); err != nil {
				return 0, err
			}
		}
		s.metrics.decided.Add(float64(len(m.batch.byShard[s.number])))
	}
	if err := s.listeners.Advance(time.UnixMilli(m.watermark), emit); err != nil {
		return 0, err
	}
	if err := s.publish(ctx, s.late.take(m.checkpoint != nil)); err != nil {
		return 0, err
	}
	if err := s.flush(ctx); err != nil {
		return 0, err
	}
	if m.checkpoint != nil {
		if err := s.checkpoint(ctx, m.checkpoint); err != nil {
			return 0, err
		}
	}
	s.metrics.timers.Add(float64(s.listeners.Len() - s.timers))
	s.timers = s.listeners.Len()
	if next, ok := s.listeners.Next(); ok {
		return next.UnixMilli(), nil
	}
	return math.MaxInt64, nil
}

// flushAt is how many triggers are handed to the outbox at once, at most.
const flushAt = 256

func (s *shard) emit(ctx context.Context, fired []trigger.Trigger) error {
	if err := s.publish(ctx, s.late.sort(fired)); err != nil || !s.late.full() {
		return err
	}
	return s.publish(ctx, s.late.take(false))
}

func (s *shard) publish(ctx context.Context, triggers []trigger.Trigger) error {
	for _, t := range triggers {
		m, err := pipeline.TriggerMessage(t)
		if err != nil {
			return err
		}
		s.ready = append(s.ready, m)
	}
	if len(s.ready) >= flushAt {
		return s.flush(ctx)
	}
	return nil
}

func (s *shard) flush(ctx context.Context) error {
	if len(s.ready) == 0 {
		return nil
	}
	p := outbox.Parcel{Messages: s.ready}
	s.ready = nil
	return s.outbox.Send(ctx, p)
}

// checkpoint adds the shard's part, which counts when the triggers before it are published.
func (s *shard) checkpoint(ctx context.Context, c *checkpoint) error {
	began := time.Now()
	if pos, ok := s.listeners.OldestPos(); ok {
		c.needs(pos)
	}
	if c.keep {
		var states []byte
		s.listeners.Each(func(user string, state []byte) { states = snapshot.AppendListener(states, user, state) })
		c.addListeners(states)
	}
	c.spent.Add(int64(time.Since(began)))
	return s.outbox.Send(ctx, outbox.Parcel{Then: c.arrive})
}
