package beamgraph

import (
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	beamtrigger "github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window/trigger"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

func init() {
	beam.RegisterCoder(reflect.TypeFor[trends.Tally](), encodeTally, decodeTally)
	register.Combiner2[trends.Tally, []byte](&paneFn{})
	register.DoFn3x0[string, trends.Tally, func(string, []byte)](&marketsFn{})
	register.DoFn6x1[context.Context, beam.PaneInfo, beam.Window, string, func(*[]byte) bool, func(Outcome), error](&topFn{})
	register.Emitter2[string, []byte]()
	register.Iter1[[]byte]()
}

// Trend counts plays by market and in the world in sliding windows of event time, and makes a trigger with the
// tracks played most of each window that ends. It goes in two steps: a Combine over panes, fixed windows of
// Config.Every; then the sliding windows, which add up the panes. A play that comes late, within Config.Lateness of
// its last window, is one more tally for its pane, and counts in every window that has not ended; the next one
// ends within Config.Every.
//
// Nothing accumulates: Prism holds the watermark back for what an accumulating window retains, until its lateness
// is over, and no window behind it would end.
func Trend(s beam.Scope, c trends.Config, tallies beam.PCollection) beam.PCollection {
	s = s.Scope("Trend")
	c = c.WithDefaults()
	panes := beam.WindowInto(s, window.NewFixedWindows(c.Every), tallies,
		beam.Trigger(beamtrigger.AfterEndOfWindow().LateFiring(beamtrigger.Repeat(beamtrigger.AfterCount(1)))),
		beam.AllowedLateness(c.Length-c.Every+c.Lateness), beam.PanesDiscard())
	markets := beam.ParDo(s, &marketsFn{}, beam.CombinePerKey(s, &paneFn{}, panes))
	// Sliding windows are grouped, not combined: a lifted Combine would write each tally once a window.
	windows := beam.WindowInto(s, window.NewSlidingWindows(c.Every, c.Length), markets,
		beam.Trigger(beamtrigger.Default()), beam.PanesDiscard())
	return beam.ParDo(s, &topFn{Config: c}, beam.GroupByKey(s, windows))
}

// paneFn is the Combine over a market's tallies of one pane.
type paneFn struct{}

func (*paneFn) CreateAccumulator() trends.Tally { return trends.Tally{} }

func (*paneFn) AddInput(t trends.Tally, b []byte) (trends.Tally, error) {
	more, err := decodeTally(b)
	t.Merge(&more)
	return t, err
}

func (*paneFn) MergeAccumulators(a, b trends.Tally) trends.Tally {
	a.Merge(&b)
	return a
}

// marketsFn hands a market's tally to the market and to the world.
type marketsFn struct{}

func (*marketsFn) ProcessElement(market string, t trends.Tally, emit func(string, []byte)) {
	b := encodeTally(t)
	if market != "" {
		emit(market, b)
	}
	emit(trigger.World, b)
}

// topFn makes a window's trigger out of its panes.
type topFn struct{ Config trends.Config }

func (f *topFn) ProcessElement(_ context.Context, firing beam.PaneInfo, w beam.Window, market string, tallies func(*[]byte) bool, emit func(Outcome)) error {
	if firing.Index > 0 {
		return nil // a tally that just missed the window's end comes alone: as a row it would hide the window's
	}
	var window trends.Tally
	var b []byte
	for tallies(&b) {
		t, err := decodeTally(b)
		if err != nil {
			return err
		}
		window.Merge(&t)
	}
	end := w.MaxTimestamp().ToTime().Add(time.Millisecond)
	t, ok := f.Config.Trigger(market, end, &window)
	if !ok {
		return nil
	}
	m, err := pipeline.TriggerMessage(t)
	if err != nil {
		return fmt.Errorf("making a trend's message: %w", err)
	}
	emit(Outcome{Topic: trigger.Topic, Messages: []bus.Message{m}})
	return nil
}

func encodeTally(t trends.Tally) []byte {
	b := binary.AppendVarint(nil, t.Count)
	for _, ref := range []trigger.Ref{t.First, t.Last} {
		b = appendBytes(b, ref.ID)
		b = appendTime(b, ref.Time)
	}
	for track, n := range t.Plays {
		b = appendBytes(b, track)
		b = binary.AppendVarint(b, n)
	}
	return b
}

func decodeTally(b []byte) (trends.Tally, error) {
	f := &fields{b: b}
	t := trends.Tally{Count: f.varint()}
	t.First = trigger.Ref{ID: f.string(), Time: f.time()}
	t.Last = trigger.Ref{ID: f.string(), Time: f.time()}
	if len(f.b) > 0 {
		t.Plays = map[string]int64{}
	}
	for len(f.b) > 0 {
		track := f.string()
		t.Plays[track] = f.varint()
	}
	return t, f.end("tally of plays")
}
