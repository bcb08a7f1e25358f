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
	"homefeed/pipeline/event"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

func init() {
	beam.RegisterCoder(reflect.TypeFor[plays](), encodePlays, decodePlays)
	register.Combiner3[plays, []byte, []byte](&paneFn{})
	register.DoFn3x0[string, []byte, func(string, []byte)](&marketsFn{})
	register.DoFn5x1[context.Context, beam.Window, string, func(*[]byte) bool, func(Outcome), error](&topFn{})
	register.Emitter2[string, []byte]()
	register.Iter1[[]byte]()
}

// Trend counts plays by market and in the world in sliding windows of event time, and makes a trigger with the
// tracks played most of each window that ends and of each that a late play changes. It goes in two steps: a
// Combine over panes, fixed windows of Config.Every, in which a play that comes twice counts once; then the
// sliding windows, which only gather the panes' tallies. A late play makes its pane's tally anew, and the windows
// take the newer tally in the older one's place.
func Trend(s beam.Scope, c trends.Config, plays beam.PCollection) beam.PCollection {
	s = s.Scope("Trend")
	c = c.WithDefaults()
	late := beamtrigger.AfterEndOfWindow().LateFiring(beamtrigger.Repeat(beamtrigger.AfterCount(1)))
	panes := beam.WindowInto(s, window.NewFixedWindows(c.Every), plays,
		beam.Trigger(late), beam.AllowedLateness(c.Length-c.Every+c.Lateness), beam.PanesAccumulate())
	tallies := beam.CombinePerKey(s, &paneFn{Every: c.Every}, panes)
	tallies = beam.ParDo(s, &marketsFn{}, tallies)
	// Sliding windows are grouped, not combined: a lifted Combine would write each tally once a window.
	windows := beam.WindowInto(s, window.NewSlidingWindows(c.Every, c.Length), tallies,
		beam.Trigger(late), beam.AllowedLateness(c.Lateness), beam.PanesAccumulate())
	return beam.ParDo(s, &topFn{Config: c}, beam.GroupByKey(s, windows))
}

// play is one play as a pane counts it.
type play struct {
	track, id string
	at        int64 // ms
}

// plays are those of a pane by trends.Fingerprint, so that a play that comes twice is counted once.
type plays map[uint64]play

func appendPlay(b []byte, print uint64, p play) []byte {
	b = binary.LittleEndian.AppendUint64(b, print)
	b = appendBytes(b, p.track)
	b = appendBytes(b, p.id)
	return binary.AppendVarint(b, p.at)
}

func (p plays) add(b []byte) error {
	f := &fields{b: b}
	for len(f.b) > 0 {
		print := f.fixed()
		one := play{track: f.string(), id: f.string(), at: f.varint()}
		if f.err != nil {
			break
		}
		p.put(print, one)
	}
	return f.end("plays of a pane")
}

// put keeps the smaller id of a play that came twice, so that the order of coming does not matter.
func (p plays) put(print uint64, one play) {
	if known, twice := p[print]; !twice || one.id < known.id {
		p[print] = one
	}
}

func encodePlays(p plays) []byte {
	b := make([]byte, 0, 64*len(p))
	for print, one := range p {
		b = appendPlay(b, print, one)
	}
	return b
}

func decodePlays(b []byte) (plays, error) {
	p := plays{}
	return p, p.add(b)
}

// paneFn is the Combine over the packed plays of a market and pane; its output is the pane's tally.
type paneFn struct{ Every time.Duration }

func (*paneFn) CreateAccumulator() plays { return plays{} }

func (*paneFn) AddInput(p plays, b []byte) (plays, error) { return p, p.add(b) }

func (*paneFn) MergeAccumulators(a, b plays) plays {
	for print, one := range b {
		a.put(print, one)
	}
	return a
}

func (f *paneFn) ExtractOutput(p plays) []byte {
	var t trends.Tally
	pane := int64(0)
	for _, one := range p {
		pane = one.at / f.Every.Milliseconds()
		t.Add(event.Event{ID: one.id, Kind: event.Played, Object: one.track, Time: time.UnixMilli(one.at).UTC()})
	}
	return encodeTally(pane, &t)
}

// marketsFn hands a market's tally to the market and to the world.
type marketsFn struct{}

func (*marketsFn) ProcessElement(market string, tally []byte, emit func(string, []byte)) {
	tagged := appendBytes(nil, market)
	tagged = append(tagged, tally...)
	if market != "" {
		emit(market, tagged)
	}
	emit(trigger.World, tagged)
}

// topFn makes a window's trigger out of its panes' tallies.
type topFn struct{ Config trends.Config }

func (f *topFn) ProcessElement(_ context.Context, w beam.Window, market string, tallies func(*[]byte) bool, emit func(Outcome)) error {
	type key struct {
		market string
		pane   int64
	}
	newest := map[key]*trends.Tally{}
	var b []byte
	for tallies(&b) {
		r := &fields{b: b}
		k := key{market: r.string()}
		pane, t, err := decodeTally(r.b)
		if err != nil {
			return err
		}
		k.pane = pane
		// A pane that was made anew holds all of the older one and more.
		if known := newest[k]; known == nil || t.Count > known.Count {
			newest[k] = t
		}
	}
	var window trends.Tally
	for _, t := range newest {
		window.Merge(t)
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

func encodeTally(pane int64, t *trends.Tally) []byte {
	b := binary.AppendVarint(nil, pane)
	b = binary.AppendVarint(b, t.Count)
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

func decodeTally(b []byte) (pane int64, t *trends.Tally, err error) {
	f := &fields{b: b}
	pane = f.varint()
	t = &trends.Tally{Count: f.varint(), Plays: map[string]int64{}}
	t.First = trigger.Ref{ID: f.string(), Time: f.time()}
	t.Last = trigger.Ref{ID: f.string(), Time: f.time()}
	for len(f.b) > 0 {
		track := f.string()
		t.Plays[track] = f.varint()
	}
	return pane, t, f.end("tally of a pane")
}
