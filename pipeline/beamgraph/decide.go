package beamgraph

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"homefeed/pipeline"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

func init() {
	register.DoFn6x1[context.Context, state.Provider, timers.Provider, string, []byte, func(Outcome), error](&decideFn{})
}

// Rules are the refresh policy as data, so that it can travel to a worker: what shelves declare, without their
// functions.
type Rules struct {
	Shelves  []Rule
	Cooldown time.Duration
}

// Rule is one shelf's part of the policy.
type Rule struct {
	Shelf     string
	On        []shelf.Signal
	Freshness time.Duration
}

// RulesOf takes from the shelves what the policy needs to know of them. Market shelves are left out.
func RulesOf(shelves []*shelf.Shelf, c refreshpolicy.Config) (Rules, error) {
	if _, err := refreshpolicy.New(shelves, c); err != nil {
		return Rules{}, err
	}
	r := Rules{Cooldown: c.Cooldown}
	for _, s := range shelves {
		if s.Scope == shelf.Listener {
			r.Shelves = append(r.Shelves, Rule{Shelf: s.Name, On: s.Signals(), Freshness: s.Guard.WithDefaults().Freshness})
		}
	}
	return r, nil
}

// Policy is the policy that the rules describe.
func (r Rules) Policy() (*refreshpolicy.Policy, error) {
	shelves := make([]*shelf.Shelf, len(r.Shelves))
	for i, rule := range r.Shelves {
		shelves[i] = &shelf.Shelf{
			Name: rule.Shelf, Doc: rule.Shelf, On: rule.On, Guard: shelf.Guard{Freshness: rule.Freshness},
			Fill: func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil },
		}
	}
	return refreshpolicy.New(shelves, refreshpolicy.Config{Cooldown: r.Cooldown})
}

// Decide is the refresh policy over packs of Admit: a stateful DoFn with one state cell and one event-time timer a
// key. The result is a PCollection of Outcome, one a bundle: triggers, and the receipts of the events that they
// serve or that no shelf wants.
func Decide(s beam.Scope, e Endpoints, r Rules, packs beam.PCollection) beam.PCollection {
	s = s.Scope("Decide")
	return beam.ParDo(s, &decideFn{
		Endpoints: e, Rules: r,
		Cell: state.MakeBagState[[]byte]("cell"),
		Due:  timers.InEventTime("due"),
	}, packs)
}

type decideFn struct {
	Endpoints Endpoints
	Rules     Rules
	// Cell is one value, a bucket, that is kept in a bag: writing a Value is a round trip to clear it and one to
	// write all of it, adding what has changed to a bag is one.
	Cell state.Bag[[]byte]
	Due  timers.EventTime

	wired
	policy *refreshpolicy.Policy
	out    Outcome
	fired  beam.Counter
}

func (f *decideFn) Setup(ctx context.Context) (err error) {
	f.fired = beam.NewCounter(MetricsNamespace, "triggers")
	if f.policy, err = f.Rules.Policy(); err != nil {
		return err
	}
	if f.Endpoints.Job == "" {
		return nil // nothing to tell the source: it is not ours
	}
	return f.connect(ctx, f.Endpoints)
}

func (f *decideFn) Teardown() error { return f.disconnect() }

func (f *decideFn) StartBundle(context.Context, func(Outcome)) {
	f.out = Outcome{Topic: trigger.Topic}
}

func (f *decideFn) ProcessElement(_ context.Context, sp state.Provider, tp timers.Provider, key string, pack []byte, _ func(Outcome)) error {
	if f.policy == nil {
		return errNotSetUp
	}
	b, err := f.load(sp, key)
	if err != nil {
		return err
	}
	taken := 0
	first, err := unpack(pack, func(user string, events []byte) error {
		l, err := b.listener(f.policy, user)
		if err != nil {
			return err
		}
		var fired []trigger.Trigger
		err = unpackEvents(events, user, func(e event.Event, r source.Receipt) {
			fired = append(fired, f.policy.Add(&l.state, e, r.Pos)...)
			l.receipts = append(l.receipts, r)
			taken++
		})
		if err != nil {
			return err
		}
		return f.settle(b, user, fired)
	})
	if err != nil {
		return err
	}
	f.conns.taken(taken)
	f.conns.unpacked(key, first)
	if now := f.conns.through(key); now > 0 {
		if err := f.advance(b, now); err != nil {
			return err
		}
	}
	return f.store(sp, tp, key, b)
}

func (f *decideFn) OnTimer(_ context.Context, sp state.Provider, tp timers.Provider, key string, _ timers.Context, _ func(Outcome)) error {
	b, err := f.load(sp, key)
	if err != nil || b.armed == 0 {
		return err // served since the timer was set
	}
	if err := f.advance(b, max(b.armed, f.conns.through(key))); err != nil {
		return err
	}
	return f.store(sp, tp, key, b)
}

// advance fires what is due at now, and gives up a timer that has nothing left to do.
func (f *decideFn) advance(b *bucket, now int64) error {
	if b.armed <= now {
		b.armed = 0
	}
	for _, user := range b.due(now) {
		l, err := b.listener(f.policy, user)
		if err != nil {
			return err
		}
		if err := f.settle(b, user, f.policy.Advance(&l.state, user, time.UnixMilli(now))); err != nil {
			return err
		}
	}
	return nil
}

// FinishBundle hands on everything at once: see the package's comment on why not ProcessElement.
func (f *decideFn) FinishBundle(ctx context.Context, emit func(Outcome)) {
	f.fired.Inc(ctx, int64(len(f.out.Messages)))
	if len(f.out.Messages)+len(f.out.Receipts) > 0 {
		emit(f.out)
	}
	f.out = Outcome{}
}

// load is the key's bucket: the one that is kept beside the state, or what its cell holds.
func (f *decideFn) load(sp state.Provider, key string) (*bucket, error) {
	if b := f.conns.bucket(key); b != nil {
		return b, nil
	}
	bag, _, err := f.Cell.Read(sp)
	if err != nil {
		return nil, fmt.Errorf("reading the state cell: %w", err)
	}
	return decodeBucket(bag)
}

// settle passes on what fired for a listener with the receipts of all events that are served, and notes what is left.
func (f *decideFn) settle(b *bucket, user string, fired []trigger.Trigger) error {
	for _, t := range fired {
		m, err := pipeline.TriggerMessage(t)
		if err != nil {
			return fmt.Errorf("making a trigger's message: %w", err)
		}
		f.out.Messages = append(f.out.Messages, m)
	}
	l := b.listeners[user]
	l.receipts = f.serve(l)
	next, waiting := f.policy.Next(&l.state)
	if !waiting {
		b.remove(user)
		return nil
	}
	l.next = next.UnixMilli()
	b.change(user, f.policy.Encode(&l.state))
	return nil
}

// serve passes on the receipts of events that nothing waits for any more, and returns the others. An event is
// unserved only if its position is at or above the oldest unserved one, so what is below is done.
func (f *decideFn) serve(l *listener) []source.Receipt {
	oldest, any := f.policy.OldestPos(&l.state)
	if !any {
		f.out.Receipts = append(f.out.Receipts, l.receipts...)
		return nil
	}
	kept := l.receipts[:0]
	for _, r := range l.receipts {
		if r.Pos < oldest {
			f.out.Receipts = append(f.out.Receipts, r)
		} else {
			kept = append(kept, r)
		}
	}
	return kept
}

// store puts back what has changed, and sets the timer if it is not set or too late.
func (f *decideFn) store(sp state.Provider, tp timers.Provider, key string, b *bucket) error {
	if next, waiting := b.next(); waiting {
		// A timer that is set for earlier stays: when it fires it is set again. Setting one costs, moving it too.
		if b.armed == 0 || next < b.armed {
			b.armed = next
			f.Due.Set(tp, time.UnixMilli(next))
		}
	}
	write, anew := b.encode()
	if anew {
		if err := f.Cell.Clear(sp); err != nil {
			return fmt.Errorf("clearing the state cell: %w", err)
		}
	}
	if len(write) > 0 {
		if err := f.Cell.Add(sp, write); err != nil {
			return fmt.Errorf("writing the state cell: %w", err)
		}
	}
	f.conns.keep(key, b)
	return nil
}
