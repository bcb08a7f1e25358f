package local

import (
	"context"
	"math"
	"time"

	"homefeed/pipeline/local/outbox"
)

// sequencer passes batches on in the order of the log, keeps the watermark, and starts checkpoints. Everything that
// consumers see comes from this one goroutine, so all of them see it in one order.
type sequencer struct {
	*run
	now int64  // ms: the watermark
	pos uint64 // of the last entry passed on

	timer     <-chan time.Time // when a consumer has something to do; nil: not armed
	stopTimer func()
	timerAt   int64         // ms
	retry     time.Duration // pause before the log is asked again whether anything waits

	passedAt time.Time // by the clock: the last batch

	dirty      bool // something has been passed on since the last checkpoint
	under      bool // a checkpoint is under way
	checkpoint *time.Timer
	resting    bool // until checkpoint fires
}

func (r *run) sequence(ctx context.Context, watermark int64) error {
	s := &sequencer{run: r, pos: r.restored, checkpoint: time.NewTimer(r.cfg.CheckpointEvery), resting: true}
	s.advance(watermark)
	defer s.checkpoint.Stop()
	defer s.disarm()
	if err := s.deliver(ctx, message{watermark: watermark}); err != nil {
		return err
	}
	for {
		if s.dirty && !s.under && !s.resting {
			if err := s.begin(ctx); err != nil {
				return err
			}
		}
		s.arm()
		var err error
		select {
		case b, more := <-r.ordered:
			if !more {
				return s.finish(ctx)
			}
			err = s.pass(ctx, b)
		case <-s.timer:
			s.timer = nil
			err = s.tick(ctx)
		case <-r.wake:
		case <-s.checkpoint.C:
			s.resting = false
		case done := <-r.checkpointed:
			s.end(done)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// pass hands on a batch when it is recorded.
func (s *sequencer) pass(ctx context.Context, b *batch) error {
	select {
	case <-b.finished:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.pos, s.dirty, s.retry = b.entries[len(b.entries)-1].Pos, true, 0
	s.passedAt = s.cfg.Clock.Now()
	if len(b.letters) > 0 {
		if err := s.letters.Send(ctx, outbox.Parcel{Messages: b.letters}); err != nil {
			return err
		}
	}
	s.passed.Store(s.pos)
	s.advance(min(b.newest, s.cfg.Clock.Now().UnixMilli()))
	b.entries, b.letters = nil, nil
	b.users.Store(int32(len(s.consumers)))
	err := s.deliver(ctx, message{batch: b, watermark: s.now})
	s.outstanding.Add(-1)
	return err
}

func (s *sequencer) advance(to int64) {
	s.now = max(s.now, to)
	s.watermark.Store(s.now)
}

func (s *sequencer) deliver(ctx context.Context, m message) error {
	for _, c := range s.consumers {
		select {
		case c.in <- m:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// arm sets the timer to when a consumer has something to do. What lies at or before the watermark is being done.
func (s *sequencer) arm() {
	s.armed.Store(math.MaxInt64) // a consumer that has something sooner while we look wakes us up
	next := int64(math.MaxInt64)
	for _, c := range s.consumers {
		next = min(next, c.next.Load())
	}
	wait := time.Duration(0)
	if next != math.MaxInt64 {
		wait = max(time.UnixMilli(next).Sub(s.cfg.Clock.Now()), s.retry)
	}
	if next == math.MaxInt64 || next <= s.now || wait <= 0 && s.outstanding.Load() > 0 {
		s.disarm() // a message is on its way that will wake us up
		return
	}
	if s.timer == nil || s.timerAt != next {
		s.disarm()
		s.timer, s.stopTimer = s.cfg.Clock.Timer(wait)
		s.timerAt = next
	}
	s.armed.Store(next)
}

func (s *sequencer) disarm() {
	if s.stopTimer != nil {
		s.stopTimer()
	}
	s.timer, s.stopTimer = nil, nil
}

// A history that is being sent in batches pauses between them. If the clock took over in such a pause, everything
// that follows would be late, which costs the trends their windows. So while the newest event is older than
// historyAge, the log has to be silent for historyPause first.
const (
	historyAge   = time.Minute
	historyPause = 5 * time.Second
)

// tick lets the watermark follow the clock, if nothing is waiting.
func (s *sequencer) tick(ctx context.Context) error {
	clock := s.cfg.Clock.Now()
	now := clock.UnixMilli()
	if silent := clock.Sub(s.passedAt); silent < historyPause && now-s.now > historyAge.Milliseconds() {
		s.retry = historyPause - silent
		return nil
	}
	if !s.idle(ctx) {
		s.retry = min(max(2*s.retry, time.Millisecond), 50*time.Millisecond)
		return nil
	}
	s.retry, s.dirty = 0, true
	s.advance(now)
	return s.deliver(ctx, message{watermark: s.now})
}

// idle reports whether everything published by now has been passed on. Positions are compared because counts can't
// tell: an entry that the reader is just being given neither waits in the log nor is outstanding.
func (s *sequencer) idle(ctx context.Context) bool {
	if s.outstanding.Load() > 0 || !s.caughtUp.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	end, err := s.cfg.Log.End(ctx)
	if err != nil {
		s.cfg.Logger.Warn("the log doesn't tell where it ends", "error", err)
		return false
	}
	return end <= max(s.pos, s.cfg.Log.Floor())
}

// begin sends a checkpoint after everything passed on so far.
func (s *sequencer) begin(ctx context.Context) error {
	c := newCheckpoint(s.pos, s.now, s.cfg.Dir != "", len(s.consumers)+1)
	s.dirty, s.under = false, true
	if err := s.deliver(ctx, message{watermark: s.now, checkpoint: c}); err != nil {
		return err
	}
	if err := s.letters.Send(ctx, outbox.Parcel{Then: c.arrive}); err != nil {
		return err
	}
	s.checkpoints <- c // there is room for one
	return nil
}

// maxRest is the longest pause between two checkpoints.
const maxRest = time.Minute

// end sets the pause until the next checkpoint.
func (s *sequencer) end(done checkpointDone) {
	s.under, s.resting = false, true
	s.dirty = s.dirty || done.err != nil
	s.checkpoint.Reset(max(s.cfg.CheckpointEvery, min(50*done.spent, maxRest)))
}

// finish writes a last checkpoint when all batches are passed on.
func (s *sequencer) finish(ctx context.Context) error {
	for s.under || s.dirty {
		if !s.under {
			if err := s.begin(ctx); err != nil {
				return err
			}
		}
		select {
		case done := <-s.checkpointed:
			s.under = false
			if done.err != nil {
				return nil // it is logged; what is left is read again
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
