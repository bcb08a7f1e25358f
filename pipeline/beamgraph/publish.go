package beamgraph

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/cenkalti/backoff/v5"
)

func init() {
	beam.RegisterCoder(reflect.TypeFor[Outcome](), encodeOutcome, decodeOutcome)
	register.DoFn2x1[context.Context, Outcome, error](&publishFn{})
}

// Publish publishes outcomes through the job's Connections, and then acknowledges their receipts: in this order,
// so that a message of the source is let go only when what came of it is with the bus.
func Publish(s beam.Scope, e Endpoints, outcomes beam.PCollection) {
	s = s.Scope("Publish")
	beam.ParDo0(s, &publishFn{Endpoints: e}, outcomes)
}

type publishFn struct {
	Endpoints Endpoints

	wired
	published beam.Counter
}

func (f *publishFn) Setup(ctx context.Context) error {
	f.published = beam.NewCounter(MetricsNamespace, "messages_published")
	return f.connect(ctx, f.Endpoints)
}

func (f *publishFn) Teardown() error { return f.disconnect() }

func (f *publishFn) ProcessElement(ctx context.Context, o Outcome) error {
	if f.conns == nil {
		return errNotSetUp
	}
	if len(o.Messages) > 0 {
		publish := func(ctx context.Context) error { return f.conns.Publisher.Publish(ctx, o.Topic, o.Messages...) }
		if err := f.insist(ctx, "publishing to "+o.Topic, publish); err != nil {
			return err
		}
		f.published.Inc(ctx, int64(len(o.Messages)))
	}
	if len(o.Receipts) == 0 {
		return nil
	}
	return f.insist(ctx, "acknowledging events", func(ctx context.Context) error { return f.conns.Source.Ack(ctx, o.Receipts) })
}

// insist tries again for a while, and then fails the bundle: the job starts again from what is not acknowledged.
func (f *publishFn) insist(ctx context.Context, what string, do func(context.Context) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.MaxInterval = 5 * time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return struct{}{}, do(ctx)
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(patience), backoff.WithNotify(func(err error, _ time.Duration) {
		f.conns.warn(ctx, what+" failed, trying again", err)
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
