// Package ondemand is the rung of the ladder for listeners who have no row yet: their shelves are made while they wait,
// as the "services" generation of home feeds did for everybody. It is slow and costs downstream calls, so it is
// bounded: few at once, one at a time for a listener, and not again soon for one who has nothing.
package ondemand

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2" // bounded memory of whom to leave alone
	"golang.org/x/sync/singleflight"

	"homefeed/shelves/store"
)

// Maker makes and stores shelves of a listener, as of the newest event that is recorded. A listener without events
// has no cells, which is no error.
type Maker interface {
	Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error)
}

// Options bound a Limiter. Zero fields take the defaults named there.
type Options struct {
	Patience time.Duration // of one who waits; 0 means 800 ms
	// Timeout is of the making itself; 0 means 5 s. What comes after Patience is there for the next Home.
	Timeout    time.Duration
	Concurrent int // listeners at once; 0 means 16. More are told ErrBusy.
	// Pause is after how long a listener is tried again; 0 means 15 s.
	Pause time.Duration
	// Remembered is how many listeners Pause is kept for; 0 means 100,000.
	Remembered int
}

// The errors of Limiter.Make besides the Maker's.
var (
	ErrBusy   = errors.New("on demand: as many listeners as allowed are being made")
	ErrPaused = errors.New("on demand: tried for this listener a moment ago")
	ErrAway   = errors.New("on demand: what it takes is away")
	errClosed = errors.New("on demand: closed")
)

// tolerated is after how many makings in a row that failed, or outlasted Patience, nobody waits for one. One at a time
// then finds out when they succeed again.
const tolerated = 5

// findsOut names that one among the flights. No listener has this id.
const findsOut = ""

// Limiter is a Maker within bounds. It is safe for concurrent use.
type Limiter struct {
	maker   Maker
	options Options
	slots   chan struct{}
	flights singleflight.Group
	tried   *otter.Cache[string, time.Time] // when the making of a listener began
	failed  atomic.Int32                    // how many makings have, since the last that has not
	ctx     context.Context                 // of all makings
	stop    context.CancelFunc
}

// New makes a Limiter.
func New(m Maker, o Options) (*Limiter, error) {
	if o.Patience <= 0 {
		o.Patience = 800 * time.Millisecond
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Concurrent <= 0 {
		o.Concurrent = 16
	}
	if o.Pause <= 0 {
		o.Pause = 15 * time.Second
	}
	if o.Remembered <= 0 {
		o.Remembered = 100_000
	}
	tried, err := otter.New(&otter.Options[string, time.Time]{
		MaximumSize: o.Remembered, ExpiryCalculator: otter.ExpiryWriting[string, time.Time](o.Pause),
	})
	if err != nil {
		return nil, fmt.Errorf("on demand: %w", err)
	}
	l := &Limiter{maker: m, options: o, slots: make(chan struct{}, o.Concurrent), tried: tried}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// Make waits for the listener's shelves, until Patience after their making began. Whoever asks for a listener who is
// being made shares the result. Its error is ErrBusy, ErrPaused, ErrAway, ctx's or the Maker's; then there is nothing to
// show.
func (l *Limiter) Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error) {
	patience := l.options.Patience
	if began, tried := l.tried.GetIfPresent(user); tried {
		if patience -= time.Since(began); patience <= 0 {
			return nil, ErrPaused
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	making := func() (any, error) { return l.make(user, shelves) }
	if l.failed.Load() >= tolerated {
		l.flights.DoChan(findsOut, making) // nobody waits for it
		return nil, ErrAway
	}
	flight := l.flights.DoChan(user, making)
	select {
	case done := <-flight:
		cells, _ := done.Val.([]store.Cell)
		return cells, done.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("on demand: waiting: %w", ctx.Err())
	}
}

// make runs in a goroutine of its own, which outlives those who wait.
func (l *Limiter) make(user string, shelves []string) (cells []store.Cell, err error) {
	if l.ctx.Err() != nil {
		return nil, errClosed
	}
	if _, paused := l.tried.GetIfPresent(user); paused {
		return nil, ErrPaused
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	l.tried.Set(user, time.Now())
	late := time.AfterFunc(l.options.Patience, func() { l.failed.Add(1) })
	defer func() {
		<-l.slots
		if p := recover(); p != nil { // else singleflight ends the process
			err = fmt.Errorf("on demand: panic: %v", p)
		}
		switch inTime := late.Stop(); {
		case inTime && err != nil:
			l.failed.Add(1)
		case inTime:
			l.failed.Store(0)
		}
	}()
	ctx, cancel := context.WithTimeout(l.ctx, l.options.Timeout)
	defer cancel()
	return l.maker.Make(ctx, user, shelves)
}

// Close ends what is being made and waits for it. Make fails from then on.
func (l *Limiter) Close() {
	l.stop()
	for range cap(l.slots) {
		l.slots <- struct{}{}
	}
	l.tried.StopAllGoroutines()
}
