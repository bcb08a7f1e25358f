package local

import (
	"container/heap"
	"context"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/refreshpolicy"
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
	policy    *refreshpolicy.Policy
	listeners map[string]*listener // those with a state
	timers    timers
	ready     []bus.Message
	outbox    *outbox
	metrics   *metrics
}

// listener is one with something unserved or remembered.
type listener struct {
	user  string
	state refreshpolicy.State
	due   int64 // ms
	index int   // in timers; -1: not there
}

func (s *shard) decide(ctx context.Context, m message) (int64, error) {
	if m.batch != nil {
		for _, i := range m.batch.byShard[s.number] {
			e := &m.batch.events[i]
			l := s.listeners[e.User]
			if l == nil {
				l = &listener{user: e.User, index: -1}
				s.listeners[e.User] = l
			}
			fired := s.policy.Add(&l.state, *e, m.batch.pos[i])
			s.rearm(l)
			if err := s.emit(ctx, fired); err != nil {
				return 0, err
			}
		}
		s.metrics.decided.Add(float64(len(m.batch.byShard[s.number])))
	}
	now := time.UnixMilli(m.watermark)
	for len(s.timers) > 0 && s.timers[0].due <= m.watermark {
		l := s.timers[0]
		fired := s.policy.Advance(&l.state, l.user, now)
		s.rearm(l)
		if err := s.emit(ctx, fired); err != nil {
			return 0, err
		}
	}
	if err := s.flush(ctx); err != nil {
		return 0, err
	}
	if m.checkpoint != nil {
		if err := s.checkpoint(ctx, m.checkpoint); err != nil {
			return 0, err
		}
	}
	if len(s.timers) == 0 {
		return math.MaxInt64, nil
	}
	return s.timers[0].due, nil
}

// rearm puts the listener where its next timer is, or forgets it when it has none.
func (s *shard) rearm(l *listener) {
	next, ok := s.policy.Next(&l.state)
	due := next.UnixMilli()
	switch {
	case !ok && l.index < 0:
		delete(s.listeners, l.user)
	case !ok:
		heap.Remove(&s.timers, l.index)
		delete(s.listeners, l.user)
		s.metrics.timers.Dec()
	case l.index < 0:
		l.due = due
		heap.Push(&s.timers, l)
		s.metrics.timers.Inc()
	case due != l.due:
		l.due = due
		heap.Fix(&s.timers, l.index)
	}
}

// flushAt is how many triggers are handed to the outbox at once, at most.
const flushAt = 256

func (s *shard) emit(ctx context.Context, fired []trigger.Trigger) error {
	for _, t := range fired {
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
	p := parcel{messages: s.ready}
	s.ready = nil
	return s.outbox.send(ctx, p)
}

// checkpoint adds the shard's part, which counts when the triggers before it are published.
func (s *shard) checkpoint(ctx context.Context, c *checkpoint) error {
	part := listenersPart{oldest: math.MaxUint64}
	for _, l := range s.listeners {
		if pos, ok := s.policy.OldestPos(&l.state); ok {
			part.oldest = min(part.oldest, pos)
		}
		if c.keep {
			part.states = appendBytes(part.states, []byte(l.user))
			part.states = appendBytes(part.states, s.policy.Encode(&l.state))
		}
	}
	c.addListeners(part)
	return s.outbox.send(ctx, parcel{checkpoint: c})
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// restore puts back a listener of a checkpoint.
func (s *shard) restore(user string, state refreshpolicy.State) {
	l := &listener{user: user, state: state, index: -1}
	s.listeners[user] = l
	s.rearm(l)
}

func (s *shard) forgetAll() {
	s.metrics.timers.Sub(float64(len(s.timers)))
	s.listeners, s.timers = map[string]*listener{}, nil
}

// timers is a heap of listeners, the earliest first. Of equals the smaller id, so that triggers of one moment come
// in one order.
type timers []*listener

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	if t[i].due != t[j].due {
		return t[i].due < t[j].due
	}
	return t[i].user < t[j].user
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	l := x.(*listener)
	l.index = len(*t)
	*t = append(*t, l)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	l := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	l.index = -1
	return l
}
