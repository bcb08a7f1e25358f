package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local/pull"
)

// SubscriptionOptions says how messages are handed out. The zero value is a lease of a minute.
type SubscriptionOptions struct {
	// Lease is how long a consumer has for a message before it comes again; 0 means a minute.
	Lease time.Duration
	// MaxOutstanding is how many messages may be handed out and not acknowledged; Pull waits at that many.
	// 0 means 10,000.
	MaxOutstanding int
}

// pullLinger is how long a Pull that holds messages waits for one more when MaxOutstanding is reached.
const pullLinger = 20 * time.Millisecond

type subscription struct {
	bus      *Bus
	name     string
	puller   *pull.Puller
	consumer jetstream.Consumer
	ctx      context.Context // done when the subscription is closed
	cancel   context.CancelFunc
}

// Subscribe opens the durable subscription of this name, and makes it the first time, when it begins with the oldest
// message that is kept. The topics have to be of one stream, and not of events, which are read as a log. One process
// has a subscription open at a time: what an earlier one left unacknowledged is handed out again at once, whatever is
// left of its lease.
func (b *Bus) Subscribe(ctx context.Context, name string, topics []string, o SubscriptionOptions) (bus.Subscription, error) {
	s, err := b.subscribe(ctx, name, topics, o)
	if err != nil {
		return nil, fmt.Errorf("opening subscription %s: %w", name, err)
	}
	return s, nil
}

func (b *Bus) subscribe(ctx context.Context, name string, topics []string, o SubscriptionOptions) (*subscription, error) {
	if err := validName(name); err != nil {
		return nil, err
	}
	stream, err := streamOf(topics...)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		if packs(topic) {
			return nil, fmt.Errorf("topic %s is read as a log: want topics whose messages have leases of their own", topic)
		}
	}
	if o.Lease <= 0 {
		o.Lease = time.Minute
	}
	if o.MaxOutstanding <= 0 {
		o.MaxOutstanding = 10_000
	}
	config := jetstream.ConsumerConfig{
		Durable:        name,
		FilterSubjects: filterFor(stream, topics),
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        o.Lease,
		MaxAckPending:  o.MaxOutstanding,
		MaxDeliver:     -1, // giving up after bus.MaxAttempts, with a dead letter, is the consumer's
	}
	var consumer jetstream.Consumer
	err = b.call(ctx, func(ctx context.Context) (err error) {
		consumer, err = b.js.CreateOrUpdateConsumer(ctx, stream, config)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the consumer: %w", err)
	}
	s := &subscription{
		bus:      b,
		name:     name,
		consumer: consumer,
		puller:   &pull.Puller{Conn: b.nc, Link: b.currentLink, Stream: stream, Consumer: name, Linger: pullLinger},
	}
	if err := s.releaseLeases(ctx, stream); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// releaseLeases hands back what a process that is gone still had leased. The server doesn't tell which messages
// those are, but it ignores a negative acknowledgement of any other: so every message between the acknowledgement
// floor and the last one delivered gets one. Their counts of deliveries, and what was acknowledged, stay.
func (s *subscription) releaseLeases(ctx context.Context, stream string) error {
	info := s.consumer.CachedInfo() // as of CreateOrUpdateConsumer
	if info.NumAckPending == 0 {
		return nil
	}
	handles := make([]string, 0, releaseBatch)
	for seq := info.AckFloor.Stream + 1; seq <= info.Delivered.Stream; seq++ {
		// <deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>; the server looks at the second only,
		// if the third lies among those delivered.
		handles = append(handles, fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.0.0", stream, s.name, seq, info.Delivered.Consumer))
		if len(handles) == releaseBatch || seq == info.Delivered.Stream {
			if err := s.answer(ctx, nak(0), handles); err != nil {
				return fmt.Errorf("handing back old leases: %w", err)
			}
			handles = handles[:0]
		}
	}
	return nil
}

const releaseBatch = 1000

// Pull implements bus.Subscription.
func (s *subscription) Pull(ctx context.Context, max int) ([]bus.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("pulling from %s: max %d: want at least 1", s.name, max)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	msgs, err := s.puller.Pull(ctx, max)
	if err != nil {
		if s.ctx.Err() != nil {
			err = ErrClosed
		}
		return nil, fmt.Errorf("pulling from %s: %w", s.name, s.bus.closedOr(err))
	}
	deliveries := make([]bus.Delivery, 0, len(msgs))
	again := 0
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("pulling from %s: reading a delivery: %w", s.name, err)
		}
		if meta.NumDelivered > 1 {
			again++
		}
		published := meta.Timestamp.UTC()
		deliveries = append(deliveries, bus.Delivery{
			Message:   fromNATS(m, published),
			Topic:     m.Subject,
			Published: published,
			Attempt:   int(meta.NumDelivered),
			Handle:    m.Reply,
		})
	}
	s.bus.metrics.delivered.WithLabelValues(s.name).Add(float64(len(msgs)))
	s.bus.metrics.redelivered.WithLabelValues(s.name).Add(float64(again))
	return deliveries, nil
}

// Ack implements bus.Subscription.
func (s *subscription) Ack(ctx context.Context, ds ...bus.Delivery) error {
	// The server answers an acknowledgement of a lease that ran out with silence, but any "in progress" with a reply:
	// one behind the last acknowledgement, which changes nothing any more, tells when all are taken in.
	if err := s.send([]byte("+ACK"), handlesOf(ds)); err != nil {
		return fmt.Errorf("acknowledging on %s: %w", s.name, err)
	}
	if len(ds) > 0 {
		if err := s.request(ctx, []byte("+WPI"), ds[len(ds)-1].Handle); err != nil {
			return fmt.Errorf("acknowledging on %s: %w", s.name, err)
		}
	}
	return nil
}

// Nack implements bus.Subscription.
func (s *subscription) Nack(ctx context.Context, delay time.Duration, ds ...bus.Delivery) error {
	if err := s.answer(ctx, nak(delay), handlesOf(ds)); err != nil {
		return fmt.Errorf("refusing on %s: %w", s.name, err)
	}
	return nil
}

// Extend implements bus.Subscription.
func (s *subscription) Extend(ctx context.Context, ds ...bus.Delivery) error {
	if err := s.answer(ctx, []byte("+WPI"), handlesOf(ds)); err != nil {
		return fmt.Errorf("extending leases on %s: %w", s.name, err)
	}
	return nil
}

// Waiting implements bus.Subscription. Right after a Publish the count may lag by a few microseconds.
func (s *subscription) Waiting(ctx context.Context) (int, bool, error) {
	var info *jetstream.ConsumerInfo
	err := s.bus.call(ctx, func(ctx context.Context) (err error) {
		info, err = s.consumer.Info(ctx)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("counting what waits on %s: %w", s.name, err)
	}
	return int(info.NumPending), true, nil
}

// Close implements bus.Subscription. A Pull that waits returns ErrClosed.
func (s *subscription) Close() error {
	s.cancel()
	return nil
}

// answer sends one answer to every handle and waits until the server has taken in the last, and so all.
func (s *subscription) answer(ctx context.Context, body []byte, handles []string) error {
	if len(handles) == 0 {
		return nil
	}
	last := len(handles) - 1
	if err := s.send(body, handles[:last]); err != nil {
		return err
	}
	return s.request(ctx, body, handles[last])
}

func (s *subscription) send(body []byte, handles []string) error {
	for _, handle := range handles {
		if err := s.bus.nc.Publish(handle, body); err != nil {
			return s.bus.closedOr(err)
		}
	}
	return nil
}

func (s *subscription) request(ctx context.Context, body []byte, handle string) error {
	err := s.bus.call(ctx, func(ctx context.Context) error {
		_, err := s.bus.nc.RequestWithContext(ctx, handle, body)
		return err
	})
	if errors.Is(err, nats.ErrNoResponders) {
		return pull.ErrNoConsumer
	}
	return err
}

func nak(delay time.Duration) []byte {
	if delay <= 0 {
		return []byte("-NAK")
	}
	return fmt.Appendf(nil, `-NAK {"delay":%d}`, delay.Nanoseconds())
}

func handlesOf(ds []bus.Delivery) []string {
	handles := make([]string, len(ds))
	for i := range ds {
		handles[i] = ds[i].Handle
	}
	return handles
}
