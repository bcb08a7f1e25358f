package beamgraph

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"homefeed/pipeline"
	"homefeed/pipeline/beamgraph/source"
)

func init() {
	register.DoFn2x0[source.Message, func(beam.EventTime, string, []byte)](&countFn{})
}

// Count decodes messages for trends alone and packs their plays as Admit does. Bad messages are left out: Admit
// makes their dead letters.
func Count(s beam.Scope, e Endpoints, pane time.Duration, messages beam.PCollection) beam.PCollection {
	s = s.Scope("Count")
	return beam.ParDo(s, &countFn{Endpoints: e, Pane: pane}, messages)
}

type countFn struct {
	Endpoints Endpoints
	Pane      time.Duration

	wired
	batch admission
}

func (f *countFn) Setup(ctx context.Context) error { return f.connect(ctx, f.Endpoints) }

func (f *countFn) Teardown() error { return f.disconnect() }

func (f *countFn) StartBundle(func(beam.EventTime, string, []byte)) { f.batch = admission{} }

func (f *countFn) ProcessElement(m source.Message, _ func(beam.EventTime, string, []byte)) {
	if e, err := pipeline.Decode(m.Topic, m.Data, f.conns.now()); err == nil {
		f.batch.events = append(f.batch.events, e)
	}
}

func (f *countFn) FinishBundle(_ context.Context, emit func(beam.EventTime, string, []byte)) {
	f.batch.count(f.Pane, emit)
	f.batch = admission{}
}
