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
// listener. The result is a PCollection of Outcome, one a bundle: triggers, and the receipts of the events that
// they serve or that no shelf wants.
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
	// Cell is one value that is kept in a bag: writing a Value is a round trip to clear it and one to write it,
	// adding to a bag is one. The newest version counts, and a bag of maxVersions is written anew.
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

func (f *decideFn) ProcessElement(_ context.Context, sp state.Provider, tp timers.Provider, user string, pack []byte, _ func(Outcome)) error {
	if f.policy == nil {
		return errNotSetUp
	}
	l, err := f.load(sp)
	if err != nil {
		return err
	}
	taken := 0
	var fired []trigger.Trigger
	err = unpack(pack, user, func(e event.Event, r source.Receipt) {
		fired = append(fired, f.policy.Add(&l.state, e, r.Pos)...)
		l.cell.receipts = append(l.cell.receipts, r)
		taken++
	})
	if err != nil {
		return err
	}
	if f.conns != nil {
		f.conns.taken(taken)
	}
	return f.store(sp, tp, l, fired)
}

func (f *decideFn) OnTimer(_ context.Context, sp state.Provider, tp timers.Provider, user string, _ timers.Context, _ func(Outcome)) error {
	l, err := f.load(sp)
	if err != nil || l.versions == 0 {
		return err // served since the timer was set
	}
	now := time.UnixMilli(l.cell.armed)
	l.cell.armed = 0
	return f.store(sp, tp, l, f.policy.Advance(&l.state, user, now))
}

// FinishBundle hands on everything at once: see the package's comment on why not ProcessElement.
func (f *decideFn) FinishBundle(ctx context.Context, emit func(Outcome)) {
	f.fired.Inc(ctx, int64(len(f.out.Messages)))
	if len(f.out.Messages)+len(f.out.Receipts) > 0 {
		emit(f.out)
	}
	f.out = Outcome{}
}

// maxVersions bounds what a bag grows to between two clearings: reading costs by the byte, clearing by the trip.
const maxVersions = 8

// listener is one listener's state while it is worked on.
type listener struct {
	cell     cell
	state    refreshpolicy.State
	versions int // in the bag
}

func (f *decideFn) load(sp state.Provider) (l listener, err error) {
	bag, _, err := f.Cell.Read(sp)
	if err != nil {
		return l, fmt.Errorf("reading the state cell: %w", err)
	}
	l.versions = len(bag)
	if l.cell, err = newestCell(bag); err != nil {
		return l, err
	}
	l.state, err = f.policy.Decode(l.cell.policy)
	return l, err
}

// store puts back what is left, sets the timer if it is not set or too late, and passes on what fired with the
// receipts of all events that are served.
func (f *decideFn) store(sp state.Provider, tp timers.Provider, l listener, fired []trigger.Trigger) error {
	for _, t := range fired {
		m, err := pipeline.TriggerMessage(t)
		if err != nil {
			return fmt.Errorf("making a trigger's message: %w", err)
		}
		f.out.Messages = append(f.out.Messages, m)
	}
	l.cell.receipts = f.serve(l)
	next, waiting := f.policy.Next(&l.state)
	if (!waiting || l.versions >= maxVersions) && l.versions > 0 {
		if err := f.Cell.Clear(sp); err != nil {
			return fmt.Errorf("clearing the state cell: %w", err)
		}
	}
	if !waiting {
		return nil
	}
	// A timer that is set for earlier stays: when it fires it is set again. Setting one costs, moving it too.
	if due := next.UnixMilli(); l.cell.armed == 0 || due < l.cell.armed {
		l.cell.armed = due
		f.Due.Set(tp, next)
	}
	l.cell.version++
	l.cell.policy = f.policy.Encode(&l.state)
	if err := f.Cell.Add(sp, l.cell.encode()); err != nil {
		return fmt.Errorf("writing the state cell: %w", err)
	}
	return nil
}

// serve passes on the receipts of events that nothing waits for any more, and returns the others. An event is
// unserved only if its position is at or above the oldest unserved one, so what is below is done.
func (f *decideFn) serve(l listener) []source.Receipt {
	oldest, any := f.policy.OldestPos(&l.state)
	if !any {
		f.out.Receipts = append(f.out.Receipts, l.cell.receipts...)
		return nil
	}
	kept := l.cell.receipts[:0]
	for _, r := range l.cell.receipts {
		if r.Pos < oldest {
			f.out.Receipts = append(f.out.Receipts, r)
		} else {
			kept = append(kept, r)
		}
	}
	return kept
}
