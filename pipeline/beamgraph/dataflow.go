package beamgraph

import (
	"maps"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/pubsubio"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	pubsubpb "google.golang.org/genproto/googleapis/pubsub/v1"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

func init() {
	register.DoFn3x0[beam.EventTime, *pubsubpb.PubsubMessage, func(source.Message)](&fromPubSubFn{})
	register.DoFn2x0[Outcome, func(*pubsubpb.PubsubMessage)](&toPubSubFn{})
	register.Emitter1[source.Message]()
}

// PubSub says what is where on Pub/Sub. The attributes are those that the project's own bus writes and reads.
type PubSub struct {
	Project       string
	Subscriptions map[string]string // by topic, of every event topic
	IDAttribute   string            // Dataflow removes duplicates by it
	TimeAttribute string            // RFC 3339; Dataflow takes event time from it
	KeyAttribute  string
}

// Dataflow builds the whole graph over Dataflow's own Pub/Sub source and sink, which exist on Dataflow only. There
// state, timers and windows are durable and Dataflow acknowledges what it has committed, so no receipts travel.
// Dataflow publishes without ordering keys; a row is as of its newest event, so order is no matter of correctness.
func Dataflow(s beam.Scope, c Config, p PubSub) {
	var events []beam.PCollection
	for _, topic := range event.Topics() {
		s := s.Scope(topic)
		raw := pubsubio.Read(s, p.Project, pubsubio.ReadOptions{
			Subscription: p.Subscriptions[topic], IDAttribute: p.IDAttribute, TimestampAttribute: p.TimeAttribute,
			WithAttributes: true,
		})
		events = append(events, beam.ParDo(s, &fromPubSubFn{Topic: topic}, raw))
	}
	admitted := Admit(s, c.Endpoints, c.Buckets, &c.Trends, beam.Flatten(s, events...))
	p.write(s.Scope("Triggers"), trigger.Topic, Decide(s, Endpoints{}, c.Rules, admitted.Packs))
	p.write(s.Scope("Trending"), trigger.Topic, Trend(s, c.Trends, admitted.Plays))
	p.write(s.Scope("DeadLetters"), event.DeadLetterTopic, admitted.Dead)
}

func (p PubSub) write(s beam.Scope, topic string, outcomes beam.PCollection) {
	messages := beam.ParDo(s, &toPubSubFn{ID: p.IDAttribute, Time: p.TimeAttribute, Key: p.KeyAttribute}, outcomes)
	pubsubio.Write(s, p.Project, topic, messages)
}

// fromPubSubFn gives a message its topic, which Pub/Sub does not say.
type fromPubSubFn struct{ Topic string }

func (f *fromPubSubFn) ProcessElement(at beam.EventTime, m *pubsubpb.PubsubMessage, emit func(source.Message)) {
	emit(source.Message{Topic: f.Topic, Data: m.GetData(), Time: at.ToTime(), Attributes: m.GetAttributes()})
}

// toPubSubFn writes messages as the project's bus does.
type toPubSubFn struct{ ID, Time, Key string }

func (f *toPubSubFn) ProcessElement(o Outcome, emit func(*pubsubpb.PubsubMessage)) {
	for _, m := range o.Messages {
		attributes := map[string]string{f.ID: m.ID, f.Key: m.Key, f.Time: m.Time.UTC().Format(time.RFC3339Nano)}
		maps.Copy(attributes, m.Attributes)
		emit(&pubsubpb.PubsubMessage{Data: m.Data, Attributes: attributes})
	}
}
