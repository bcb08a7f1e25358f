package local

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"homefeed/pipeline/bus"
)

var _ bus.Publisher = (*Bus)(nil)

const (
	// maxInFlightBytes bounds what all Publish calls together have sent and not got acknowledged.
	maxInFlightBytes = 64 << 20
	// messageOverhead is what a message counts beyond its data.
	messageOverhead = 1 << 10
	// chunkBytes is how much of one call is in flight at a time; a batch of 1,000 events is one chunk.
	chunkBytes = 8 << 20
)

// Publish implements bus.Publisher. The messages are sent without waiting for one another, and stored in their
// order. It fails with bus.ErrTooLarge before anything is sent, with ErrClosed, with ctx's error, or with the
// server's, which is "no space left" sooner than anything else.
func (b *Bus) Publish(ctx context.Context, topic string, msgs ...bus.Message) error {
	b.running.RLock()
	defer b.running.RUnlock()
	start := time.Now()
	err := b.publish(ctx, topic, msgs)
	b.metrics.publishSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		b.metrics.publishErrors.Inc()
		return fmt.Errorf("publishing to %s: %w", topic, err)
	}
	b.metrics.published.WithLabelValues(topic).Add(float64(len(msgs)))
	return nil
}

func (b *Bus) publish(ctx context.Context, topic string, msgs []bus.Message) error {
	if b.closed {
		return ErrClosed
	}
	if _, err := streamOf(topic); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	encoded, err := encode(topic, msgs)
	if err != nil {
		return err
	}
	for len(encoded) > 0 {
		n, size := 0, int64(0)
		for n < len(encoded) && (n == 0 || size < chunkBytes) {
			size += int64(len(encoded[n].Data) + messageOverhead)
			n++
		}
		if err := b.publishChunk(ctx, encoded[:n], size); err != nil {
			return err
		}
		encoded = encoded[n:]
	}
	return nil
}

func encode(topic string, msgs []bus.Message) ([]*nats.Msg, error) {
	for i := range msgs {
		if err := valid(&msgs[i]); err != nil {
			return nil, err
		}
	}
	if packs(topic) {
		return pack(topic, msgs)
	}
	encoded := make([]*nats.Msg, len(msgs))
	for i := range msgs {
		m, err := toNATS(topic, &msgs[i])
		if err != nil {
			return nil, err
		}
		encoded[i] = m
	}
	return encoded, nil
}

func (b *Bus) publishChunk(ctx context.Context, msgs []*nats.Msg, size int64) error {
	if err := b.inFlight.Acquire(ctx, size); err != nil {
		return fmt.Errorf("waiting until less is in flight: %w", err)
	}
	defer b.inFlight.Release(size)
	acks := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		ack, err := b.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0)) // a retry of one would break the order
		if err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		acks[i] = ack
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return fmt.Errorf("storing: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("waiting until it is stored: %w", ctx.Err())
		}
	}
	return nil
}
