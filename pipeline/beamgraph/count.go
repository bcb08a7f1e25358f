package beamgraph

import (
	"context"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"homefeed/pipeline"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trends"
)

func init() {
	register.DoFn2x0[source.Message, func(beam.EventTime, string, []byte)](&countFn{})
}

// Count decodes messages for trends alone and tallies their plays as Admit does. Bad messages are left out: Admit
// makes their dead letters.
func Count(s beam.Scope, e Endpoints, c trends.Config, messages beam.PCollection) beam.PCollection {
	s = s.Scope("Count")
	return beam.ParDo(s, &countFn{Endpoints: e, Config: c.WithDefaults()}, messages)
}

type countFn struct {
	Endpoints Endpoints
	Config    trends.Config

	wired
	events []event.Event
}

func (f *countFn) Setup(ctx context.Context) error { return f.connect(ctx, f.Endpoints) }

func (f *countFn) Teardown() error { return f.disconnect() }

func (f *countFn) StartBundle(func(beam.EventTime, string, []byte)) { f.events = nil }

func (f *countFn) ProcessElement(m source.Message, _ func(beam.EventTime, string, []byte)) {
	if e, err := pipeline.Decode(m.Topic, m.Data, f.conns.now()); err == nil {
		f.events = append(f.events, e)
	}
}

func (f *countFn) FinishBundle(_ context.Context, emit func(beam.EventTime, string, []byte)) {
	tally(f.events, f.Config, f.conns, emit)
	f.events = nil
}

// tally counts the plays among events. It makes one element a market and pane of time, so that the windows' part
// costs by the bundle, not by the play.
func tally(events []event.Event, c trends.Config, conns *Connections, emit func(beam.EventTime, string, []byte)) {
	type key struct {
		market string
		pane   int64
	}
	tallies := map[key]*trends.Tally{}
	var order []key
	for _, e := range events {
		if e.Kind != event.Played || conns.live && conns.counted.before(e, c) {
			continue
		}
		k := key{e.Market, paneOf(e, c)}
		if tallies[k] == nil {
			tallies[k] = &trends.Tally{}
			order = append(order, k)
		}
		tallies[k].Add(e)
	}
	for _, k := range order {
		emit(beam.EventTime(tallies[k].First.Time.UnixMilli()), k.market, encodeTally(*tallies[k]))
	}
}

func paneOf(e event.Event, c trends.Config) int64 { return e.Time.UnixMilli() / c.Every.Milliseconds() }

// memory knows which plays were counted, so that one that comes twice counts once. It serves jobs whose workers are
// in this process, and lives as long as their windows: until the run ends. Elsewhere Dataflow removes duplicates
// before they come here, and on Flink a play that is delivered again counts again.
type memory struct {
	mu     sync.Mutex
	panes  map[int64]map[uint64]struct{}
	plays  int
	newest int64 // pane
}

// before reports whether the play was counted before, and remembers it. Beyond Config.MaxRemembered it forgets to
// remember: such a play would count twice.
func (m *memory) before(e event.Event, c trends.Config) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	print, pane := trends.Fingerprint(e), paneOf(e, c)
	if _, seen := m.panes[pane][print]; seen {
		return true
	}
	if pane > m.newest {
		m.newest = pane
		m.forget(pane - int64((c.Length+c.Lateness)/c.Every) - 1)
	}
	if m.plays >= c.MaxRemembered {
		return false
	}
	if m.panes == nil {
		m.panes = map[int64]map[uint64]struct{}{}
	}
	if m.panes[pane] == nil {
		m.panes[pane] = map[uint64]struct{}{}
	}
	m.panes[pane][print] = struct{}{}
	m.plays++
	return false
}

// forget drops the panes before one, of which no open window has plays.
func (m *memory) forget(before int64) {
	for pane, prints := range m.panes {
		if pane < before {
			m.plays -= len(prints)
			delete(m.panes, pane)
		}
	}
}
