package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/pipeline/bus"
)

// SubscriptionOptions says what the subscription was made with: Pub/Sub does not say it with its messages.
type SubscriptionOptions struct {
	// Topic is the subscription's topic, for Delivery.Topic.
	Topic string
	// Lease is the subscription's acknowledgement deadline, and by how much Extend prolongs: 10 s to 10 min in whole
	// seconds; 0 means a minute.
	Lease time.Duration
}

// The bounds of a lease, which are Pub/Sub's.
const (
	MinLease = 10 * time.Second
	MaxLease = 10 * time.Minute
)

const (
	// maxPull is the most messages that Pub/Sub hands out in one answer.
	maxPull = 1000
	// pullTimeout is how long one request waits. Pub/Sub answers a waiting one without messages after a while too.
	pullTimeout = time.Minute
	// maxHandles keeps a request within Pub/Sub's limit of 512 KiB.
	maxHandles = 1000
)

type subscription struct {
	bus    *Bus
	name   string
	full   string
	topic  string
	lease  time.Duration
	ctx    context.Context // done when the subscription or the Bus is closed
	cancel context.CancelFunc
}

var _ bus.Subscription = (*subscription)(nil)

// Subscribe opens a subscription that exists; that it doesn't shows at the first Pull. Several processes may share
// one. Pull waits in one request at a time, without streams: a consumer takes as much as it can work on, and what
// nobody has asked for is leased to nobody.
func (b *Bus) Subscribe(name string, o SubscriptionOptions) (bus.Subscription, error) {
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Lease < MinLease || o.Lease > MaxLease || o.Lease%time.Second != 0 {
		return nil, fmt.Errorf("opening subscription %s: Lease %v: want %v to %v in whole seconds", name, o.Lease, MinLease, MaxLease)
	}
	s := &subscription{bus: b, name: name, full: b.subscriptionName(name), topic: o.Topic, lease: o.Lease}
	s.ctx, s.cancel = context.WithCancel(b.ctx)
	return s, nil
}

// Pull implements bus.Subscription. When ctx ends while Pub/Sub is answering, messages may be lost to this process;
// they come again when their lease runs out.
func (s *subscription) Pull(ctx context.Context, max int) ([]bus.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("pulling from %s: max %d: want at least 1", s.name, max)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for {
		received, err := s.pull(ctx, min(max, maxPull))
		if err != nil {
			return nil, fmt.Errorf("pulling from %s: %w", s.name, err)
		}
		if len(received) == 0 {
			continue
		}
		deliveries := make([]bus.Delivery, len(received))
		again := 0
		for i, r := range received {
			deliveries[i] = s.delivery(r)
			if deliveries[i].Attempt > 1 {
				again++
			}
		}
		s.bus.metrics.delivered.WithLabelValues(s.name).Add(float64(len(received)))
		s.bus.metrics.redelivered.WithLabelValues(s.name).Add(float64(again))
		return deliveries, nil
	}
}

// pull is one request; it returns nothing when none came in its time.
func (s *subscription) pull(ctx context.Context, max int) ([]*pubsubpb.ReceivedMessage, error) {
	once, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	answer, err := s.bus.client.SubscriptionAdminClient.Pull(once, &pubsubpb.PullRequest{
		Subscription: s.full,
		MaxMessages:  int32(max),
	})
	if err == nil {
		return answer.GetReceivedMessages(), nil
	}
	if once.Err() != nil && ctx.Err() == nil || status.Code(err) == codes.DeadlineExceeded && ctx.Err() == nil {
		return nil, nil
	}
	return nil, s.orContext(ctx, err)
}

// orContext prefers the reason why the context ended to what gRPC made of it.
func (s *subscription) orContext(ctx context.Context, err error) error {
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return err
}

func (s *subscription) delivery(r *pubsubpb.ReceivedMessage) bus.Delivery {
	m := r.GetMessage()
	published := m.GetPublishTime().AsTime()
	d := bus.Delivery{
		Message:   bus.Message{ID: m.GetAttributes()[IDAttribute], Key: m.GetOrderingKey(), Time: published, Data: m.GetData()},
		Topic:     s.topic,
		Published: published,
		Attempt:   int(r.GetDeliveryAttempt()),
		Handle:    r.GetAckId(),
	}
	if d.Key == "" {
		d.Key = m.GetAttributes()[KeyAttribute]
	}
	if t, err := time.Parse(time.RFC3339, m.GetAttributes()[TimeAttribute]); err == nil {
		d.Time = t.UTC()
	}
	attributes := maps.Clone(m.GetAttributes())
	for _, name := range []string{IDAttribute, TimeAttribute, KeyAttribute} {
		delete(attributes, name)
	}
	if len(attributes) > 0 {
		d.Attributes = attributes
	}
	return d
}

// Ack implements bus.Subscription. Pub/Sub may still deliver a message again that was acknowledged in time, rarely.
func (s *subscription) Ack(ctx context.Context, ds ...bus.Delivery) error {
	err := s.inChunks(ctx, ds, func(ctx context.Context, handles []string) error {
		return s.bus.client.SubscriptionAdminClient.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: s.full, AckIds: handles})
	})
	if err != nil {
		return fmt.Errorf("acknowledging on %s: %w", s.name, err)
	}
	return nil
}

// Nack implements bus.Subscription. The delay is rounded up to whole seconds, at most ten minutes; then the
// subscription's retry policy counts.
func (s *subscription) Nack(ctx context.Context, delay time.Duration, ds ...bus.Delivery) error {
	if err := s.setDeadline(ctx, min(max(delay, 0), MaxLease), ds); err != nil {
		return fmt.Errorf("refusing on %s: %w", s.name, err)
	}
	return nil
}

// Extend implements bus.Subscription.
func (s *subscription) Extend(ctx context.Context, ds ...bus.Delivery) error {
	if err := s.setDeadline(ctx, s.lease, ds); err != nil {
		return fmt.Errorf("extending leases on %s: %w", s.name, err)
	}
	return nil
}

// setDeadline makes the leases end in d from now, rounded up to whole seconds.
func (s *subscription) setDeadline(ctx context.Context, d time.Duration, ds []bus.Delivery) error {
	seconds := int32((d + time.Second - 1) / time.Second)
	return s.inChunks(ctx, ds, func(ctx context.Context, handles []string) error {
		return s.bus.client.SubscriptionAdminClient.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{
			Subscription: s.full, AckIds: handles, AckDeadlineSeconds: seconds,
		})
	})
}

// inChunks calls do with the handles of ds, as many at a time as a request takes. A failure keeps no other chunk
// from being tried.
func (s *subscription) inChunks(ctx context.Context, ds []bus.Delivery, do func(context.Context, []string) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var failed []error
	for len(ds) > 0 {
		n := min(len(ds), maxHandles)
		handles := make([]string, n)
		for i := range handles {
			handles[i] = ds[i].Handle
		}
		ds = ds[n:]
		if err := do(ctx, handles); err != nil {
			failed = append(failed, s.orContext(ctx, err))
		}
	}
	return errors.Join(failed...)
}

// Waiting implements bus.Subscription: Pub/Sub can't tell.
func (s *subscription) Waiting(context.Context) (int, bool, error) { return 0, false, nil }

// Close implements bus.Subscription. A Pull that waits returns ErrClosed.
func (s *subscription) Close() error {
	s.cancel()
	return nil
}
