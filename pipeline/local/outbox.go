package local

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
	// maxPublish is how many messages an outbox publishes at once, about.
	maxPublish = 1024
)

// outbox publishes what it is handed on one topic, in order, and never gives up. What comes while it publishes is
// published together next, so it waits for nothing when there is little and makes large batches when there is much.
type outbox struct {
	topic     string
	publisher bus.Publisher
	in        chan parcel
	retried   func(err error, wait time.Duration)
	published func(n int, began time.Time)
}

// parcel is some messages, or a checkpoint that waits for all before it.
type parcel struct {
	messages   []bus.Message
	checkpoint *checkpoint
}

func (o *outbox) send(ctx context.Context, p parcel) error {
	select {
	case o.in <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run ends when in is closed and everything is published, or with ctx.
func (o *outbox) run(ctx context.Context) error {
	var messages []bus.Message
	var checkpoints []*checkpoint
	open := true
	for open {
		messages, checkpoints = messages[:0], checkpoints[:0]
		p, ok := parcel{}, false
		select {
		case p, ok = <-o.in:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for more := true; more && ok; {
			messages = append(messages, p.messages...)
			if p.checkpoint != nil {
				checkpoints = append(checkpoints, p.checkpoint)
			}
			if len(messages) >= maxPublish {
				break
			}
			select {
			case p, ok = <-o.in:
			default:
				more = false
			}
		}
		open = ok
		if err := o.publish(ctx, messages); err != nil {
			return err
		}
		clear(messages)
		for _, c := range checkpoints {
			c.arrive()
		}
	}
	return nil
}

func (o *outbox) publish(ctx context.Context, messages []bus.Message) error {
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
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0), backoff.WithNotify(o.retried))
	if err != nil {
		return fmt.Errorf("publishing %d messages on %s: %w", len(messages), o.topic, err)
	}
	o.published(len(messages), began)
	return nil
}
