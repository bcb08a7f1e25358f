// Package ondemand is the rung of the ladder for listeners who have no row yet: their shelves are made while they wait,
// as the "services" generation of home feeds did for everybody. It is slow and costs downstream calls, so it is
// bounded: few at once, one at a time for a listener, and not again soon for one who has nothing.
package ondemand

import (
	"context"
	"errors"
	"fmt"
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
	errClosed = errors.New("on demand: closed")
)

// Limiter is a Maker within bounds. It is safe for concurrent use.
type Limiter struct {
	maker   Maker
	options Options
	slots   chan struct{}
	flights singleflight.Group
	tried   *otter.Cache[string, struct{}]
	ctx     context.Context // of all makings
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
	tried, err := otter.New(&otter.Options[string, struct{}]{
		MaximumSize: o.Remembered, ExpiryCalculator: otter.ExpiryWriting[string, struct{}](o.Pause),
	})
	if err != nil {
		return nil, fmt.Errorf("on demand: %w", err)
	}
	l := &Limiter{maker: m, options: o, slots: make(chan struct{}, o.Concurrent), tried: tried}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// Make waits for the listener's shelves, for Patience at most. Whoever asks for a listener who is being made shares
// the result. Its error is ErrBusy, ErrPaused, ctx's or the Maker's; then there is nothing to show.
func (l *Limiter) Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error) {
	ctx, cancel := context.WithTimeout(ctx, l.options.Patience)
	defer cancel()
	flight := l.flights.DoChan(user, func() (any, error) { return l.make(user, shelves) })
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
	defer func() {
		<-l.slots
		if p := recover(); p != nil { // else singleflight ends the process
			err = fmt.Errorf("on demand: panic: %v", p)
		}
	}()
	l.tried.Set(user, struct{}{})
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
