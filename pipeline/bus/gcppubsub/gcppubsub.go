// Package gcppubsub is the message bus on Google Cloud Pub/Sub. Topics and subscriptions are made by Terraform in
// production and by EnsureTopology in development; with PUBSUB_EMULATOR_HOST set, everything talks to the emulator.
//
// What Pub/Sub does not have: it removes no duplicates by ID, Waiting is unknown, there is no Log, and deliveries
// carry Attempt only on subscriptions with a dead-letter policy. Times are kept in whole milliseconds.
package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/api/option"
)

// The attributes that carry what Pub/Sub has no field for. Dataflow's source is configured with the first two: it
// removes duplicates by one and takes event time from the other.
const (
	IDAttribute   = "id"
	TimeAttribute = "ts" // RFC 3339 with milliseconds, UTC
	// KeyAttribute carries Message.Key on topics without ordering.
	KeyAttribute = "key"

	timeFormat = "2006-01-02T15:04:05.000Z07:00"
)

// ErrClosed says that the Bus or the subscription was closed.
var ErrClosed = errors.New("bus is closed")

// callTimeout bounds a call when the caller's context has no deadline of its own.
const callTimeout = 30 * time.Second

// Options says which project to use and how.
type Options struct {
	// Project is the Google Cloud project.
	Project string
	// OrderedTopics are published with ordering keys, which holds each key to 1 MB/s and costs a request a key:
	// for topics whose consumers need the order. Their subscriptions must have message ordering on.
	OrderedTopics []string
	// Registerer takes the metrics, until Close; nil leaves them unregistered.
	Registerer prometheus.Registerer
	// ClientOptions are passed to Google's client.
	ClientOptions []option.ClientOption
}

// Bus publishes to and subscribes on the topics of a project. Its methods may be called from any goroutine.
type Bus struct {
	client  *pubsub.Client
	project string
	ordered []string
	metrics *metrics
	ctx     context.Context // done when the Bus is closed
	cancel  context.CancelFunc

	mu         sync.Mutex
	publishers map[string]*pubsub.Publisher // by topic; nil when closed
}

// New connects to Pub/Sub. ctx bounds the connecting only; the caller calls Close.
func New(ctx context.Context, o Options) (*Bus, error) {
	client, err := pubsub.NewClient(ctx, o.Project, o.ClientOptions...)
	if err != nil {
		return nil, fmt.Errorf("connecting to Pub/Sub: %w", err)
	}
	b := &Bus{
		client:     client,
		project:    o.Project,
		ordered:    slices.Clone(o.OrderedTopics),
		metrics:    newMetrics(),
		publishers: map[string]*pubsub.Publisher{},
	}
	if err := b.metrics.register(o.Registerer); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to Pub/Sub: %w", err), client.Close())
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// Close sends what is buffered, ends waiting Pulls and closes the connections. A second Close does nothing.
func (b *Bus) Close() error {
	b.mu.Lock()
	publishers := b.publishers
	b.publishers = nil
	b.mu.Unlock()
	if publishers == nil {
		return nil
	}
	b.cancel()
	b.metrics.unregister()
	for _, p := range publishers {
		p.Stop()
	}
	if err := b.client.Close(); err != nil {
		return fmt.Errorf("closing Pub/Sub: %w", err)
	}
	return nil
}

func (b *Bus) topicName(topic string) string {
	return fmt.Sprintf("projects/%s/topics/%s", b.project, topic)
}

func (b *Bus) subscriptionName(name string) string {
	return fmt.Sprintf("projects/%s/subscriptions/%s", b.project, name)
}
