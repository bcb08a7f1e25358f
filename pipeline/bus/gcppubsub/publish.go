package gcppubsub

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/pubsub/v2"

	"homefeed/pipeline/bus"
)

var _ bus.Publisher = (*Bus)(nil)

// Publish implements bus.Publisher. Messages of calls that run at the same time share requests. It fails with
// bus.ErrTooLarge or with what is wrong with a field before anything is sent, with ErrClosed, with ctx's error, or
// with Pub/Sub's after its retries. What ctx's end leaves unsent may still be sent afterwards.
func (b *Bus) Publish(ctx context.Context, topic string, msgs ...bus.Message) error {
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
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	publisher, err := b.publisher(topic)
	if err != nil {
		return err
	}
	encoded := make([]*pubsub.Message, len(msgs))
	for i := range msgs {
		if encoded[i], err = toPubSub(&msgs[i], publisher.EnableMessageOrdering); err != nil {
			return err
		}
	}
	results := make([]*pubsub.PublishResult, len(encoded))
	for i, m := range encoded {
		results[i] = publisher.Publish(ctx, m)
	}
	var failed error
	for i, r := range results {
		_, err := r.Get(ctx)
		if err == nil {
			continue
		}
		if failed == nil { // the others follow from the first, or are like it
			failed = err
		}
		if key := msgs[i].Key; publisher.EnableMessageOrdering && key != "" {
			// The client holds a key back after an error so that nothing overtakes. Our caller publishes all again,
			// in order, so the key is free.
			publisher.ResumePublish(key)
		}
	}
	return failed
}

func (b *Bus) publisher(topic string) (*pubsub.Publisher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.publishers == nil {
		return nil, ErrClosed
	}
	p, ok := b.publishers[topic]
	if !ok {
		p = b.client.Publisher(b.topicName(topic))
		p.EnableMessageOrdering = slices.Contains(b.ordered, topic)
		p.PublishSettings = pubsub.PublishSettings{
			DelayThreshold: 2 * time.Millisecond, // a batch goes out at once when it is full: this is for what is left over
			CountThreshold: pubsub.MaxPublishRequestCount,
			ByteThreshold:  2 << 20,
			Timeout:        callTimeout,
			FlowControlSettings: pubsub.FlowControlSettings{
				MaxOutstandingMessages: 20_000,
				MaxOutstandingBytes:    64 << 20,
				LimitExceededBehavior:  pubsub.FlowControlBlock,
			},
		}
		b.publishers[topic] = p
	}
	return p, nil
}

func toPubSub(m *bus.Message, ordered bool) (*pubsub.Message, error) {
	if len(m.Data) > bus.MaxData {
		return nil, fmt.Errorf("message of %d bytes: %w", len(m.Data), bus.ErrTooLarge)
	}
	if !utf8.ValidString(m.ID) || !utf8.ValidString(m.Key) {
		return nil, fmt.Errorf("message ID %q, Key %q: want UTF-8", m.ID, m.Key)
	}
	attributes := make(map[string]string, len(m.Attributes)+3)
	for name, value := range m.Attributes {
		if name == IDAttribute || name == TimeAttribute || name == KeyAttribute {
			return nil, fmt.Errorf("attribute %q: want another name, this one carries a field of the message", name)
		}
		attributes[name] = value
	}
	if m.ID != "" {
		attributes[IDAttribute] = m.ID
	}
	if !m.Time.IsZero() {
		attributes[TimeAttribute] = m.Time.UTC().Format(timeFormat)
	}
	msg := &pubsub.Message{Data: m.Data, Attributes: attributes}
	if ordered {
		msg.OrderingKey = m.Key
	} else if m.Key != "" {
		attributes[KeyAttribute] = m.Key
	}
	return msg, nil
}
