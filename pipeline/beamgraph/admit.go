package beamgraph

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/cespare/xxhash/v2"

	"homefeed/pipeline"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trends"
)

func init() {
	register.DoFn5x0[context.Context, source.Message, func(beam.EventTime, string, []byte),
		func(beam.EventTime, string, []byte), func(Outcome)](&admitFn{})
	register.Emitter3[beam.EventTime, string, []byte]()
	register.Emitter1[Outcome]()
}

// Admitted is what Admit makes of messages.
type Admitted struct {
	Packs beam.PCollection // KV<key, events packed by listener>: for Decide
	Plays beam.PCollection // KV<market, tally of plays>: for Trend
	Dead  beam.PCollection // Outcome: dead letters, for Publish
}

// Admit decodes messages, makes dead letters of those that are bad, records the events with the songs-played
// service, and only then passes them on, packed for the keys of Decide: so many buckets of listeners; 0: each listener
// is a key. All of it happens at the end of a bundle, in one call. Plays are tallied by the panes of c; nil: they are
// not.
func Admit(s beam.Scope, e Endpoints, buckets int, c *trends.Config, messages beam.PCollection) Admitted {
	s = s.Scope("Admit")
	packs, plays, dead := beam.ParDo3(s, &admitFn{Endpoints: e, Buckets: buckets, Trends: c}, messages)
	return Admitted{Packs: packs, Plays: plays, Dead: dead}
}

type admitFn struct {
	Endpoints Endpoints
	Buckets   int
	Trends    *trends.Config

	wired
	batch           []source.Message
	recorded, lost  beam.Counter
	recordingMillis beam.Distribution
}

func (f *admitFn) Setup(ctx context.Context) error {
	f.recorded = beam.NewCounter(MetricsNamespace, "events_recorded")
	f.lost = beam.NewCounter(MetricsNamespace, "dead_letters")
	f.recordingMillis = beam.NewDistribution(MetricsNamespace, "recording_milliseconds")
	return f.connect(ctx, f.Endpoints)
}

func (f *admitFn) Teardown() error { return f.disconnect() }

func (f *admitFn) StartBundle(context.Context, func(beam.EventTime, string, []byte), func(beam.EventTime, string, []byte), func(Outcome)) {
	clear(f.batch)
	f.batch = f.batch[:0]
}

func (f *admitFn) ProcessElement(_ context.Context, m source.Message, _ func(beam.EventTime, string, []byte), _ func(beam.EventTime, string, []byte), _ func(Outcome)) {
	f.batch = append(f.batch, m)
}

func (f *admitFn) FinishBundle(ctx context.Context, packs func(beam.EventTime, string, []byte), plays func(beam.EventTime, string, []byte), dead func(Outcome)) error {
	if f.conns == nil {
		return errNotSetUp
	}
	if len(f.batch) > 0 {
		if err := f.admit(ctx, packs, plays, dead); err != nil {
			return err
		}
	}
	f.conns.declare()
	return nil
}

func (f *admitFn) admit(ctx context.Context, packs func(beam.EventTime, string, []byte), plays func(beam.EventTime, string, []byte), dead func(Outcome)) error {
	now := f.conns.now()
	a := admission{dead: Outcome{Topic: event.DeadLetterTopic}}
	if err := a.decode(f.batch, now); err != nil {
		return err
	}
	began := f.conns.now()
	if err := a.record(ctx, f.conns); err != nil {
		return err
	}
	f.recordingMillis.Update(ctx, f.conns.now().Sub(began).Milliseconds())
	f.recorded.Inc(ctx, int64(len(a.events)))
	f.lost.Inc(ctx, int64(len(a.dead.Messages)))
	a.pack(f.Buckets, now, func(first time.Time, key string, pack []byte) {
		f.conns.packed(key, first.UnixMilli())
		packs(beam.EventTime(first.UnixMilli()), key, pack)
	})
	if f.Trends != nil {
		tally(a.events, f.Trends.WithDefaults(), f.conns, plays)
	}
	if len(a.dead.Messages) > 0 {
		f.conns.taken(len(a.dead.Messages))
		dead(a.dead)
	}
	return nil
}

// admission is one bundle on its way through the first stages.
type admission struct {
	events   []event.Event
	messages []source.Message // of events, by index
	dead     Outcome
}

func (a *admission) decode(batch []source.Message, now time.Time) error {
	for _, m := range batch {
		e, err := pipeline.Decode(m.Topic, m.Data, now)
		if err != nil {
			if err := a.refuse(m, err); err != nil {
				return err
			}
			continue
		}
		a.events = append(a.events, e)
		a.messages = append(a.messages, m)
	}
	return nil
}

func (a *admission) refuse(m source.Message, reason error) error {
	letter, err := pipeline.DeadLetter(m.Topic, bus.Message{Time: m.Time, Data: m.Data, Attributes: m.Attributes}, max(m.Attempt, 1), reason)
	if err != nil {
		return fmt.Errorf("making a dead letter: %w", err)
	}
	a.dead.Messages = append(a.dead.Messages, letter)
	a.dead.Receipts = append(a.dead.Receipts, m.Receipt)
	return nil
}

func (a *admission) record(ctx context.Context, c *Connections) error {
	rejected, err := pipeline.Record(ctx, c.Recorder, a.events, pipeline.Recording{
		Retry: func(err error, _ time.Duration) { c.warn(ctx, "recording failed, trying again", err) },
	})
	if err != nil {
		return err
	}
	refused := make(map[int]bool, len(rejected))
	for _, r := range rejected {
		refused[r.Index] = true
		if err := a.refuse(a.messages[r.Index], r.Reason); err != nil {
			return err
		}
	}
	if len(refused) == 0 {
		return nil
	}
	kept := 0
	for i := range a.events {
		if !refused[i] {
			a.events[kept], a.messages[kept] = a.events[i], a.messages[i]
			kept++
		}
	}
	a.events, a.messages = a.events[:kept], a.messages[:kept]
	return nil
}

// pack makes one element a key, at the time of its first event, so that the watermark waits for all of it.
func (a *admission) pack(buckets int, now time.Time, emit func(first time.Time, key string, pack []byte)) {
	type pack struct {
		first     time.Time
		listeners []string // in the order of their first events
	}
	packs, listeners := map[string]*pack{}, map[string][]byte{}
	var order []string
	for i := range a.events {
		e := &a.events[i]
		key := keyOf(e.User, buckets)
		p := packs[key]
		if p == nil {
			p = &pack{first: e.Time}
			packs[key] = p
			order = append(order, key)
		}
		p.first = earlier(p.first, e.Time)
		events, known := listeners[e.User]
		if !known {
			p.listeners = append(p.listeners, e.User)
		}
		listeners[e.User] = appendPacked(events, packed{id: e.ID, kind: e.Kind, at: e.Time.UnixMilli(), receipt: a.messages[i].Receipt})
	}
	for _, key := range order {
		first := earlier(packs[key].first, now)
		b := binary.AppendVarint(nil, first.UnixMilli())
		for _, user := range packs[key].listeners {
			b = appendPack(b, user, listeners[user])
		}
		emit(first, key, b)
	}
}

// keyOf is the key under which a listener's state lies.
func keyOf(user string, buckets int) string {
	if buckets == 0 {
		return user
	}
	return strconv.FormatUint(xxhash.Sum64String(user)%uint64(buckets), 10)
}
