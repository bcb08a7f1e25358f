package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"homefeed/pipeline/event"
)

// Recorder keeps events with the songs-played service. It returns nil once all of them are durable; recording one
// twice is recording it once. An error that is an InvalidEvent means that nothing was recorded because of that one
// event; any other error means that the service is away or slow, and that some may have been recorded.
type Recorder interface {
	Record(ctx context.Context, events []event.Event) error
}

// InvalidEvent is found with errors.As in the error of a Recorder that refuses an event for good.
type InvalidEvent interface {
	error
	// InvalidEvent is the event's index in the call.
	InvalidEvent() int
}

// Rejected is an event that the Recorder refuses for good: make its message a DeadLetter.
type Rejected struct {
	Index  int // in the events handed to Record
	Reason error
}

// Recording tells how Record calls. The zero Recording has the defaults.
type Recording struct {
	// Timeout is each call's deadline; 0 means 30 s.
	Timeout time.Duration
	// MaxWait is the longest pause between two tries; 0 means 5 s. Pauses begin at about 50 ms and grow.
	MaxWait time.Duration
	// Retry, if set, hears of each call that will be repeated after wait.
	Retry func(err error, wait time.Duration)
}

// Record is the second stage: it returns once every event is either recorded or rejected for good, in which case
// all the others are recorded. While the service is away it tries again, with growing pauses, for as long as ctx
// lives. Its error is ctx's: nothing may then be passed on.
func Record(ctx context.Context, r Recorder, events []event.Event, how Recording) ([]Rejected, error) {
	var rejected []Rejected
	var index []int // of what is left, in events; nil while nothing is rejected
	left := events
	for len(left) > 0 {
		err := record(ctx, r, left, how)
		if err == nil {
			break
		}
		bad, ok := invalid(err, len(left))
		if !ok {
			return nil, fmt.Errorf("recording %d events: %w", len(left), err)
		}
		if index == nil {
			index = make([]int, len(events))
			for i := range index {
				index[i] = i
			}
			left = slices.Clone(left)
		}
		rejected = append(rejected, Rejected{Index: index[bad], Reason: err})
		left, index = slices.Delete(left, bad, bad+1), slices.Delete(index, bad, bad+1)
	}
	return rejected, nil
}

// record calls until the events are recorded, one of them is refused, or ctx ends.
func record(ctx context.Context, r Recorder, events []event.Event, how Recording) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 50 * time.Millisecond
	pauses.MaxInterval = how.MaxWait
	if how.MaxWait <= 0 {
		pauses.MaxInterval = 5 * time.Second
	}
	timeout := how.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	call := func() (struct{}, error) {
		callCtx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		err := r.Record(callCtx, events)
		if _, refused := invalid(err, len(events)); refused {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, call, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			if how.Retry != nil {
				how.Retry(err, wait)
			}
		}))
	return err
}

// invalid is the index of the event that err refuses. An index outside the call is no refusal: the service is
// confused, and the call is repeated.
func invalid(err error, n int) (int, bool) {
	var refused InvalidEvent
	if !errors.As(err, &refused) {
		return 0, false
	}
	i := refused.InvalidEvent()
	return i, 0 <= i && i < n
}
