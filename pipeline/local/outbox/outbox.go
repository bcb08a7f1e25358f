// Package outbox publishes what others hand over, in order, and never gives up.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"homefeed/pipeline/bus"
)

const (
	callTimeout = 10 * time.Second
	// most is how many messages are published at once, about.
	most = 1024
	// waiting is how many parcels Send takes before it waits.
	waiting = 64
)

// Parcel is some messages. Then, if it is set, is called when they and all sent before them are published; it must
// not block.
type Parcel struct {
	Messages []bus.Message
	Then     func()
}

// Outbox publishes on one topic. What comes while it publishes is published together next, so it waits for nothing
// when there is little and makes large batches when there is much.
type Outbox struct {
	topic     string
	publisher bus.Publisher
	observe   Observer
	in        chan Parcel
}

// Observer hears what an Outbox does.
type Observer struct {
	// Retrying hears of each publication that will be repeated after wait.
	Retrying func(topic string, err error, wait time.Duration)
	// Published hears of n messages that are published, and when they were first tried.
	Published func(topic string, n int, began time.Time)
}

// New makes an Outbox; run it with Run. Both functions of the observer are needed.
func New(topic string, publisher bus.Publisher, observe Observer) *Outbox {
	return &Outbox{topic: topic, publisher: publisher, observe: observe, in: make(chan Parcel, waiting)}
}

// Send hands a parcel over; it waits while many are waiting. The error is ctx's cause.
func (o *Outbox) Send(ctx context.Context, p Parcel) error {
	select {
	case o.in <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close says that nothing more is sent; Run ends when all is published.
func (o *Outbox) Close() { close(o.in) }

// Run publishes until Close, trying again with growing pauses for as long as ctx lives. The error is ctx's cause, or
// bus.ErrTooLarge.
func (o *Outbox) Run(ctx context.Context) error {
	var messages []bus.Message
	var then []func()
	for open := true; open; {
		var p Parcel
		select {
		case p, open = <-o.in:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		messages, then = messages[:0], then[:0]
		for more := open; more; {
			messages = append(messages, p.Messages...)
			if p.Then != nil {
				then = append(then, p.Then)
			}
			if more = len(messages) < most; !more {
				break
			}
			select {
			case p, open = <-o.in:
				more = open
			default:
				more = false
			}
		}
		if err := o.publish(ctx, messages); err != nil {
			return err
		}
		clear(messages)
		for _, call := range then {
			call()
		}
	}
	return nil
}

func (o *Outbox) publish(ctx context.Context, messages []bus.Message) error {
	if len(messages) == 0 {
		return nil
	}
	began := time.Now()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 50*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err := o.publisher.Publish(callCtx, o.topic, messages...)
		if errors.Is(err, bus.ErrTooLarge) { // no stage makes one
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) { o.observe.Retrying(o.topic, err, wait) }))
	if err != nil {
		return fmt.Errorf("publishing %d messages on %s: %w", len(messages), o.topic, err)
	}
	o.observe.Published(o.topic, len(messages), began)
	return nil
}
