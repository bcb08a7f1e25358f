package beamgraph

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"homefeed/pipeline/beamgraph/source"
)

func init() {
	beam.RegisterCoder(reflect.TypeFor[source.Message](), encodeMessage, decodeMessage)
	beam.RegisterCoder(reflect.TypeFor[endless](), encodeEndless, decodeEndless)
	register.DoFn5x2[context.Context, *sdf.ManualWatermarkEstimator, *sdf.LockRTracker, []byte,
		func(beam.EventTime, source.Message), sdf.ProcessContinuation, error](&readFn{})
	register.Emitter2[beam.EventTime, source.Message]()
}

// ReadOptions tune the graph's own source. The zero value takes the defaults.
type ReadOptions struct {
	// Pause is after how long the source resumes: the latency that bundles add, against their cost. Default 50 ms.
	Pause time.Duration
	// Batch is the most messages of a bundle, and of what may be between the source and the policy's state.
	// Larger batches pack more events of a listener together. Default 40,000.
	Batch int
	// HistoryPause is for how long nothing may have come before event time follows the clock while the newest event
	// is over a minute old: a history that is sent in batches leaves the bus empty for moments, and all that comes
	// after such a moment would be late. Default 5 s.
	HistoryPause time.Duration
}

func (o ReadOptions) withDefaults() ReadOptions {
	if o.Pause == 0 {
		o.Pause = 50 * time.Millisecond
	}
	if o.Batch == 0 {
		o.Batch = 40_000
	}
	if o.HistoryPause == 0 {
		o.HistoryPause = 5 * time.Second
	}
	return o
}

// Read is an unbounded source of source.Message out of the job's Connections, for every runner but Dataflow.
// Messages carry the event time that the bus knows. The watermark is the newest event time read; only when the
// source says that nothing is waiting does it follow the clock.
func Read(s beam.Scope, e Endpoints, o ReadOptions) beam.PCollection {
	s = s.Scope("Read")
	o = o.withDefaults()
	return beam.ParDo(s, &readFn{Endpoints: e, Options: o}, beam.Impulse(s))
}

// ReadRecent is Read out of Connections.Recent. Nothing of it is acknowledged, and it asks once a second: windows
// are in no hurry.
func ReadRecent(s beam.Scope, e Endpoints, o ReadOptions) beam.PCollection {
	s = s.Scope("ReadRecent")
	o = o.withDefaults()
	o.Pause = max(o.Pause, time.Second)
	return beam.ParDo(s, &readFn{Endpoints: e, Options: o, Recent: true}, beam.Impulse(s))
}

type readFn struct {
	Endpoints Endpoints
	Options   ReadOptions
	Recent    bool

	wired
	read beam.Counter
}

func (f *readFn) Setup(ctx context.Context) error {
	f.read = beam.NewCounter(MetricsNamespace, "messages_read")
	return f.connect(ctx, f.Endpoints)
}

func (f *readFn) Teardown() error { return f.disconnect() }

func (*readFn) CreateInitialRestriction([]byte) endless        { return endless{} }
func (*readFn) SplitRestriction(_ []byte, r endless) []endless { return []endless{r} }
func (*readFn) RestrictionSize([]byte, endless) float64        { return 1 }
func (*readFn) CreateTracker(r endless) *sdf.LockRTracker {
	return sdf.NewLockRTracker(&endlessTracker{rest: r})
}
func (*readFn) WatermarkEstimatorState(e *sdf.ManualWatermarkEstimator) int64 {
	return e.State.UnixMilli()
}

func (*readFn) InitialWatermarkEstimatorState(beam.EventTime, endless, []byte) int64 {
	return beginning.UnixMilli()
}

func (*readFn) CreateWatermarkEstimator(ms int64) *sdf.ManualWatermarkEstimator {
	return &sdf.ManualWatermarkEstimator{State: time.UnixMilli(ms)}
}

// beginning is before every event: event.Validate refuses what is before 1970.
var beginning = time.Unix(0, 0)

func (f *readFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, _ []byte, emit func(beam.EventTime, source.Message)) (sdf.ProcessContinuation, error) {
	if f.conns == nil {
		return sdf.StopProcessing(), errNotSetUp
	}
	if !rt.TryClaim(claim{}) {
		return sdf.StopProcessing(), nil
	}
	now := f.conns.now() // before the question, so that "nothing waits" holds for everything up to now
	batch, err := f.pull(ctx, now)
	if err != nil {
		return f.away(ctx, err)
	}
	mark := we.CurrentWatermark()
	for _, m := range batch.Messages {
		// Phones' clocks run ahead, and one of them must not make everybody's refreshes due.
		at := earlier(m.Time, now)
		mark = later(mark, at)
		emit(beam.EventTime(at.UnixMilli()), m)
	}
	if len(batch.Messages) > 0 {
		f.lastBatch().Store(now.UnixMilli())
	}
	if batch.Idle && f.mayFollow(mark, now) {
		mark = later(mark, now)
	}
	we.UpdateWatermark(mark)
	if !f.Recent {
		f.conns.reached(mark)
	}
	return sdf.ResumeProcessingIn(f.Options.Pause), nil
}

// historyAge is from when on an event is one of a history.
const historyAge = time.Minute

// mayFollow reports whether the watermark may follow the clock although the newest event is at mark.
func (f *readFn) mayFollow(mark, now time.Time) bool {
	if !mark.After(beginning) {
		return false // nothing was read yet, so nothing waits for time; what comes first may be a history
	}
	silent := now.UnixMilli() - f.lastBatch().Load()
	return now.Sub(mark) <= historyAge || silent >= f.Options.HistoryPause.Milliseconds()
}

func (f *readFn) lastBatch() *atomic.Int64 {
	if f.Recent {
		return &f.conns.lastRecent
	}
	return &f.conns.lastBatch
}

func (f *readFn) pull(ctx context.Context, now time.Time) (source.Batch, error) {
	if f.Recent {
		return f.conns.Recent.Pull(ctx, f.Options.Batch)
	}
	f.conns.asked.Store(now.UnixMilli())
	room := f.conns.room(f.Options.Batch)
	if room <= 0 {
		return source.Batch{}, nil
	}
	batch, err := f.conns.Source.Pull(ctx, room)
	if err != nil {
		return batch, err
	}
	f.conns.failing.Store(0)
	f.conns.pulled(len(batch.Messages))
	f.read.Inc(ctx, int64(len(batch.Messages)))
	return batch, nil
}

// away rides out a bus that is away for a while; a job that starts again opens its connections anew.
func (f *readFn) away(ctx context.Context, err error) (sdf.ProcessContinuation, error) {
	now := f.conns.now().UnixMilli()
	f.conns.failing.CompareAndSwap(0, now)
	if now-f.conns.failing.Load() > patience.Milliseconds() {
		return sdf.StopProcessing(), fmt.Errorf("reading events failed for %v: %w", patience, err)
	}
	f.conns.warn(ctx, "reading events failed, trying again", err)
	return sdf.ResumeProcessingIn(time.Second), nil
}

// patience is for how long the source and Publish try again before they fail the job.
const patience = 30 * time.Second

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// endless is the restriction of a source without an end or positions of its own: it is either still to be read,
// or, as the primary of a checkpoint, done.
type endless struct{ Done bool }

func encodeEndless(r endless) []byte {
	if r.Done {
		return []byte{1}
	}
	return []byte{0}
}

func decodeEndless(b []byte) endless { return endless{Done: len(b) == 1 && b[0] == 1} }

type claim struct{}

// endlessTracker hands the whole rest to the residual of a checkpoint, and refuses every other split.
type endlessTracker struct{ rest endless }

// TryClaim is true until the rest was split off.
func (t *endlessTracker) TryClaim(any) bool { return !t.rest.Done }

// GetError is nil: nothing can go wrong here.
func (t *endlessTracker) GetError() error { return nil }

// TrySplit moves everything that is left to the residual when fraction is 0.
func (t *endlessTracker) TrySplit(fraction float64) (primary, residual any, err error) {
	if fraction != 0 || t.rest.Done {
		return t.rest, nil, nil
	}
	residual = t.rest
	t.rest = endless{Done: true}
	return t.rest, residual, nil
}

// GetProgress says that there is always as much to come.
func (t *endlessTracker) GetProgress() (done, remaining float64) {
	if t.rest.Done {
		return 1, 0
	}
	return 0, 1
}

// IsDone is true after a checkpoint.
func (t *endlessTracker) IsDone() bool { return t.rest.Done }

// GetRestriction is what is tracked.
func (t *endlessTracker) GetRestriction() any { return t.rest }

// IsBounded is false: Beam must treat what is read as a stream.
func (t *endlessTracker) IsBounded() bool { return false }
