package beamgraph_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/teststream"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

func init() {
	register.DoFn2x1[beamgraph.Outcome, func(string), error](&sayFn{})
	register.Emitter1[string]()
}

// sayFn says what an outcome holds, each trigger and each number of receipts in words.
type sayFn struct{}

func (*sayFn) ProcessElement(o beamgraph.Outcome, emit func(string)) error {
	for _, m := range o.Messages {
		if o.Topic != trigger.Topic {
			emit("dead letter")
			continue
		}
		t, err := trigger.Decode(m.Data)
		if err != nil {
			return err
		}
		emit(say(t))
	}
	return nil
}

func say(t trigger.Trigger) string {
	parts := []string{fmt.Sprintf("%s at %v:", t.Key(), t.FireTime.Sub(base))}
	for _, d := range t.Due {
		parts = append(parts, fmt.Sprintf("%s %s..%s (%d)", d.Shelf, d.First.ID, d.Last.ID, d.Count))
	}
	for _, c := range t.Top {
		parts = append(parts, fmt.Sprintf("%s×%d", c.Track, c.Plays))
	}
	return strings.Join(parts, " ")
}

// story builds a test stream of messages and watermarks, in order.
type story struct {
	t      *testing.T
	config teststream.Config
	pos    uint64
}

func newStory(t *testing.T) *story { return &story{t: t, config: teststream.NewConfig()} }

func (s *story) at(after time.Duration, id string, kind event.Kind, user, object string) *story {
	s.t.Helper()
	s.pos++
	e := event.Event{ID: id, Kind: kind, User: user, Object: object, Time: base.Add(after), Market: "DE"}
	data, err := event.Encode(e)
	if err != nil {
		s.t.Fatal(err)
	}
	m := source.Message{Topic: kind.Topic(), Data: data, Time: e.Time, Receipt: source.Receipt{Pos: s.pos}}
	if err := s.config.AddElements(e.Time.UnixMilli(), m); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s *story) watermark(after time.Duration) *story {
	s.t.Helper()
	if err := s.config.AdvanceWatermark(base.Add(after).UnixMilli()); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// messages ends the story.
func (s *story) messages(scope beam.Scope) beam.PCollection {
	s.t.Helper()
	if err := s.config.AdvanceWatermarkToInfinity(); err != nil {
		s.t.Fatal(err)
	}
	return teststream.Create(scope, s.config)
}

// nowhere is a Source for graphs that read from elsewhere.
type nowhere struct {
	mu    sync.Mutex
	acked []uint64
}

func (*nowhere) Pull(context.Context, int) (source.Batch, error) { return source.Batch{}, nil }

func (n *nowhere) Ack(_ context.Context, rs []source.Receipt) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range rs {
		n.acked = append(n.acked, r.Pos)
	}
	return nil
}

// provide gives a job connections in memory.
func provide(t *testing.T) (beamgraph.Endpoints, *nowhere, *pipelinetest.Recorder) {
	t.Helper()
	n, r := &nowhere{}, &pipelinetest.Recorder{}
	withdraw, err := beamgraph.Provide(t.Name(), &beamgraph.Connections{Source: n, Recorder: r, Publisher: &pipelinetest.Publisher{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(withdraw)
	return beamgraph.Endpoints{Job: t.Name()}, n, r
}

func TestDecide(t *testing.T) {
	t.Run("a key a listener", func(t *testing.T) { testDecide(t, 0) })
	t.Run("a bucket of listeners", func(t *testing.T) { testDecide(t, 1) })
}

func testDecide(t *testing.T, buckets int) {
	for name, c := range map[string]struct {
		story *story
		want  []any
	}{
		"a refresh serves what came before it was due": {
			newStory(t).at(0, "a", event.Played, "ann", "t1").at(time.Second, "b", event.Played, "ann", "t2").
				watermark(10*time.Second).at(10*time.Second, "c", event.Played, "ann", "t3").watermark(time.Minute),
			[]any{
				"ann at 2s: quick a..b (2)", "ann at 12s: quick c..c (1)", "ann at 30s: slow a..c (3)",
				"ann at 20s: burst c..c (1)",
			},
		},
		"an event at the due time belongs to the next refresh": {
			newStory(t).at(0, "a", event.Hearted, "ann", "t1").at(10*time.Second, "b", event.Hearted, "ann", "t2").watermark(time.Minute),
			[]any{"ann at 10s: hearts a..a (1)", "ann at 20s: hearts b..b (1)"},
		},
		"a late event is served although time has passed it": {
			newStory(t).watermark(time.Hour).at(0, "a", event.Followed, "bob", "artist1"),
			[]any{"bob at 10s: hearts a..a (1)"},
		},
		"listeners don't touch one another": {
			newStory(t).at(0, "a", event.Hearted, "ann", "t1").at(time.Second, "b", event.Hearted, "bob", "t1").watermark(time.Minute),
			[]any{"ann at 10s: hearts a..a (1)", "bob at 11s: hearts b..b (1)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, n, r := provide(t)
			p, s := beam.NewPipelineWithRoot()
			admitted := beamgraph.Admit(s, e, buckets, nil, c.story.messages(s))
			outcomes := beamgraph.Decide(s, e, testRules(t), admitted.Packs)
			beamgraph.Publish(s, e, outcomes)
			passert.Equals(s, beam.ParDo(s, &sayFn{}, outcomes), c.want...)
			ptest.RunAndValidate(t, p)
			slices.Sort(n.acked)
			for i := range c.story.pos {
				if int(i) >= len(n.acked) || n.acked[i] != i+1 {
					t.Fatalf("acknowledged %v, want each of 1 to %d once", n.acked, c.story.pos)
				}
			}
			if r.Len() != int(c.story.pos) {
				t.Errorf("%d events recorded, want %d", r.Len(), c.story.pos)
			}
		})
	}
}

func TestTrend(t *testing.T) {
	config := trends.Config{Every: time.Minute, Length: 2 * time.Minute, Lateness: 5 * time.Minute, Top: 2}
	play := func(s *story, after time.Duration, id, track string) *story {
		return s.at(after, id, event.Played, "u"+id, track)
	}
	for name, c := range map[string]struct {
		story *story
		want  []string // of the world
	}{
		"each window that ends": {
			play(play(play(newStory(t), 0, "a", "x"), time.Second, "b", "x"), 61*time.Second, "c", "y").watermark(10 * time.Minute),
			[]string{"at 1m0s: trending a..b (2) x×2", "at 2m0s: trending a..c (3) x×2 y×1", "at 3m0s: trending c..c (1) y×1"},
		},
		"a play that comes twice counts once": {
			play(play(newStory(t), 0, "a", "x"), 0, "a", "x").watermark(10 * time.Minute),
			[]string{"at 1m0s: trending a..a (1) x×1", "at 2m0s: trending a..a (1) x×1"},
		},
		"a late play counts in windows that have not ended": {
			play(play(newStory(t), 0, "a", "x").watermark(90*time.Second), time.Second, "b", "y").watermark(10 * time.Minute),
			[]string{"at 1m0s: trending a..a (1) x×1", "at 2m0s: trending a..b (2) x×1 y×1"},
		},
		"a play that is too late does not count": {
			play(play(newStory(t), 0, "a", "x").watermark(10*time.Minute), time.Second, "b", "y"),
			[]string{"at 1m0s: trending a..a (1) x×1", "at 2m0s: trending a..a (1) x×1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, _, _ := provide(t)
			p, s := beam.NewPipelineWithRoot()
			outcomes := beamgraph.Trend(s, config, beamgraph.Count(s, e, config, c.story.messages(s)))
			var want []any
			for _, w := range c.want {
				want = append(want, "market:001 "+w, "market:DE "+w)
			}
			said := beam.WindowInto(s, window.NewGlobalWindows(), beam.ParDo(s, &sayFn{}, outcomes))
			passert.Equals(s, said, want...)
			ptest.RunAndValidate(t, p)
		})
	}
}
