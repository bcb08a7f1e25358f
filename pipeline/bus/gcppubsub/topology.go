package gcppubsub

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// SubscriptionConfig is a subscription to be made.
type SubscriptionConfig struct {
	Name  string
	Topic string
	// Lease is the acknowledgement deadline: 10 s to 10 min; 0 means a minute.
	Lease time.Duration
	// Ordered delivers the messages of a key in order. The topic has to be among Options.OrderedTopics.
	Ordered bool
	// DeadLetterTopic makes Pub/Sub count deliveries (Delivery.Attempt), and move a message there after
	// MaxAttempts (5 to 100) if the consumer has not done so. Empty: neither.
	DeadLetterTopic string
	MaxAttempts     int
}

// EnsureTopology makes the topics and subscriptions that are missing and leaves those that exist as they are: for
// development and tests, where Terraform does not run.
func (b *Bus) EnsureTopology(ctx context.Context, topics []string, subscriptions ...SubscriptionConfig) error {
	for _, topic := range topics {
		_, err := b.client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: b.topicName(topic)})
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return fmt.Errorf("making topic %s: %w", topic, err)
		}
	}
	for _, c := range subscriptions {
		_, err := b.client.SubscriptionAdminClient.CreateSubscription(ctx, b.subscriptionProto(c))
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return fmt.Errorf("making subscription %s: %w", c.Name, err)
		}
	}
	return nil
}

// CheckTopics says which of the topics is missing, or that Pub/Sub can't be asked. It needs the role pubsub.viewer.
func (b *Bus) CheckTopics(ctx context.Context, topics ...string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, topic := range topics {
		if _, err := b.client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: b.topicName(topic)}); err != nil {
			return fmt.Errorf("looking at topic %s: %w", topic, err)
		}
	}
	return nil
}

// CheckSubscription says that the subscription is missing, that it is of another topic, that its leases are shorter
// than lease, or that Pub/Sub can't be asked. It needs the role pubsub.viewer.
func (b *Bus) CheckSubscription(ctx context.Context, name, topic string, lease time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := b.client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: b.subscriptionName(name)})
	if err != nil {
		return fmt.Errorf("looking at subscription %s: %w", name, err)
	}
	if s.GetTopic() != b.topicName(topic) {
		return fmt.Errorf("subscription %s is of %s: want one of %s", name, s.GetTopic(), b.topicName(topic))
	}
	if deadline := time.Duration(s.GetAckDeadlineSeconds()) * time.Second; deadline < lease {
		return fmt.Errorf("subscription %s has an acknowledgement deadline of %v: want at least the lease, %v", name, deadline, lease)
	}
	return nil
}

func (b *Bus) subscriptionProto(c SubscriptionConfig) *pubsubpb.Subscription {
	if c.Lease == 0 {
		c.Lease = time.Minute
	}
	s := &pubsubpb.Subscription{
		Name:                  b.subscriptionName(c.Name),
		Topic:                 b.topicName(c.Topic),
		AckDeadlineSeconds:    int32(c.Lease / time.Second),
		EnableMessageOrdering: c.Ordered,
		RetryPolicy: &pubsubpb.RetryPolicy{
			MinimumBackoff: durationpb.New(100 * time.Millisecond),
			MaximumBackoff: durationpb.New(time.Minute),
		},
	}
	if c.DeadLetterTopic != "" {
		s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{
			DeadLetterTopic:     b.topicName(c.DeadLetterTopic),
			MaxDeliveryAttempts: int32(c.MaxAttempts),
		}
	}
	return s
}
