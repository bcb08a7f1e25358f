package local_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trigger"
)

// check compares what was published with the reference; ordered says whether the very triggers must be the same.
func check(t *testing.T, w *world, ordered bool) {
	t.Helper()
	want := pipelinetest.Reference(w.log.Entries(), newPolicy(t), &w.windows, time.Now(), time.Now())
	listeners, markets, err := w.publisher.Triggers()
	if err != nil {
		t.Fatal(err)
	}
	if ordered {
		got := slices.Clone(listeners)
		pipelinetest.Sort(got)
		if diff := cmp.Diff(want.Triggers, got); diff != "" {
			t.Errorf("triggers (-reference +driver):\n%s", diff)
		}
	}
	wantRows := pipelinetest.Rows(append(slices.Clone(want.Triggers), want.Trends...))
	if diff := cmp.Diff(wantRows, pipelinetest.Rows(append(listeners, markets...))); diff != "" {
		t.Errorf("rows (-reference +driver):\n%s", diff)
	}
	if lost := pipelinetest.Uncovered(want.Events, listeners, staleBy); len(lost) > 0 {
		t.Errorf("%d events are in no trigger, the first is %+v", len(lost), lost[0])
	}
	for _, e := range want.Events {
		if !w.recorder.Has(e.ID) {
			t.Errorf("event %s is not recorded", e.ID)
		}
	}
	if entries := w.log.Entries(); w.log.Floor() != uint64(len(entries)) {
		t.Errorf("floor %d after everything is served: want %d", w.log.Floor(), len(entries))
	}
}

func TestInOrderEqualsReference(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				w := newWorld(t)
				w.log.MostRead = rng.IntN(60)
				gap := []time.Duration{20 * time.Millisecond, time.Second, time.Minute}[seed%3]
				events := makeEvents(rng, 700, 1+rng.IntN(30), gap)
				if err := w.log.Append(events...); err != nil {
					t.Fatal(err)
				}
				stop := start(t, w.config(t))
				settle()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				check(t, w, true)
			})
		})
	}
}

func TestAnyOrderAndRepeatedEndsInTheSameRows(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 2))
				sorted, mixed := newWorld(t), newWorld(t)
				events := makeEvents(rng, 400, 12, 5*time.Second)
				sorted.log.MostRead, mixed.log.MostRead = 1+rng.IntN(60), 1+rng.IntN(60)
				if err := sorted.log.Append(events...); err != nil {
					t.Fatal(err)
				}
				if err := mixed.log.Append(shuffled(rng, events, 10*time.Minute)...); err != nil {
					t.Fatal(err)
				}
				var rows []map[string]pipelinetest.Row
				for _, w := range []*world{sorted, mixed} {
					stop := start(t, w.config(t))
					settle()
					if err := stop(); err != nil {
						t.Fatal(err)
					}
					check(t, w, w == sorted)
					listeners, markets, err := w.publisher.Triggers()
					if err != nil {
						t.Fatal(err)
					}
					rows = append(rows, pipelinetest.Rows(append(listeners, markets...)))
				}
				if diff := cmp.Diff(rows[0], rows[1]); diff != "" {
					t.Errorf("rows (-in order +shuffled and repeated):\n%s", diff)
				}
			})
		})
	}
}

// The clock must not overtake a batch that the log has handed out and that is not counted yet.
func TestClockWaitsForTheBatchInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.Hold, w.log.MostRead = time.Second, 40
		if err := w.log.Append(makeEvents(rand.New(rand.NewPCG(8, 8)), 300, 5, time.Second)...); err != nil {
			t.Fatal(err)
		}
		stop := start(t, w.config(t))
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		check(t, w, true)
	})
}

// Events that come as they happen: each refresh is published when it is due, to the millisecond of the clock; or,
// when the log is slow to hand out what is published, as soon as it has.
func TestLiveTriggersAreOnTime(t *testing.T) {
	for _, c := range []struct{ delay, hold time.Duration }{{}, {delay: 70 * time.Millisecond}, {hold: 70 * time.Millisecond}} {
		delay := c.delay + c.hold
		t.Run(fmt.Sprintf("delay %v, hold %v", c.delay, c.hold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(3, 3))
				w := newWorld(t)
				w.log.Delay, w.log.Hold = c.delay, c.hold
				stop := start(t, w.config(t))
				for i := range 300 {
					<-time.After(time.Duration(rng.Int64N(400)) * time.Millisecond)
					e := event.Event{ID: fmt.Sprint(i), Kind: event.Played, User: fmt.Sprint("u", rng.IntN(5)), Object: "t",
						Time: time.Now().Truncate(time.Millisecond)}
					if err := w.log.Append(e); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(2 * time.Hour) // until the last window with plays has ended
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				check(t, w, true)
				most := time.Millisecond
				if delay > 0 {
					most = 4 * delay // several may be on their way, one after the other
				}
				for _, m := range w.publisher.On(trigger.Topic) {
					if late := m.At.Sub(m.Time); late < 0 || late > most {
						t.Errorf("a trigger of %v was published %v after it was due: want at most %v", m.Time, late, most)
					}
				}
			})
		})
	}
}

func TestBadMessagesBecomeDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 4))
		w := newWorld(t)
		bad := map[string]bool{}
		for i, e := range makeEvents(rng, 1000, 10, time.Second) {
			if i%100 != 50 {
				if err := w.log.Append(e); err != nil {
					t.Fatal(err)
				}
				continue
			}
			m := bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: fmt.Appendf(nil, "garbage %d", i)}
			topic := e.Kind.Topic()
			if i%200 == 50 { // a fine event on the wrong topic
				data, err := event.Encode(e)
				if err != nil {
					t.Fatal(err)
				}
				m.Data, topic = data, event.Topics()[e.Kind%3]
			}
			bad[string(m.Data)] = true
			w.log.AppendRaw(topic, m)
		}
		refused := makeEvents(rng, 2, 1, time.Second)
		refused[0].ID, refused[1].ID = "refused-1", "refused-2"
		w.recorder.Fail = func(events []event.Event) error {
			for i := range events {
				if strings.HasPrefix(events[i].ID, "refused") {
					return fmt.Errorf("recording: %w", &pipelinetest.Refused{Index: i})
				}
			}
			return nil
		}
		for _, e := range refused {
			data, err := event.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			bad[string(data)] = true
		}
		stop := start(t, w.config(t))
		<-time.After(time.Second)
		good := w.recorder.Len()
		if err := w.log.Append(refused...); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if good != 990 || w.recorder.Len() != 990 {
			t.Errorf("%d, then %d events are recorded: want all 990 good ones", good, w.recorder.Len())
		}
		for _, m := range w.publisher.On(event.DeadLetterTopic) {
			var letter eventpb.DeadLetter
			if err := proto.Unmarshal(m.Data, &letter); err != nil {
				t.Fatal(err)
			}
			if !bad[string(letter.GetPayload())] || letter.GetReason() == "" || m.Attributes["reason"] == "" {
				t.Errorf("dead letter %v: want the payload of a bad message, once, and a reason", &letter)
			}
			delete(bad, string(letter.GetPayload()))
		}
		if len(bad) > 0 {
			t.Errorf("%d bad messages are not in the dead-letter topic", len(bad))
		}
		if entries := w.log.Entries(); w.log.Floor() != uint64(len(entries)) {
			t.Errorf("floor %d: want %d", w.log.Floor(), len(entries))
		}
	})
}

func TestOutages(t *testing.T) {
	outages := map[string]func(w *world, away func() bool){
		"recorder": func(w *world, away func() bool) {
			w.recorder.Fail = func([]event.Event) error { return failIf(away()) }
		},
		"publisher": func(w *world, away func() bool) {
			w.publisher.Fail = func(string) error { return failIf(away()) }
		},
		"log": func(w *world, away func() bool) {
			w.log.Fail = func(string) error { return failIf(away()) }
		},
	}
	for name, prepare := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(5, 5))
				w := newWorld(t)
				began := time.Now()
				prepare(w, func() bool { return time.Since(began)%(40*time.Second) < 35*time.Second })
				if err := w.log.Append(makeEvents(rng, 500, 10, time.Second)...); err != nil {
					t.Fatal(err)
				}
				stop := start(t, w.config(t))
				<-time.After(20 * time.Minute)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				check(t, w, true)
			})
		})
	}
}

func failIf(away bool) error {
	if away {
		return errAway
	}
	return nil
}

// Nothing is passed on before it is recorded.
func TestNothingIsDecidedBeforeItIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var away atomic.Bool
		away.Store(true)
		w.recorder.Fail = func([]event.Event) error { return failIf(away.Load()) }
		if err := w.log.Append(makeEvents(rand.New(rand.NewPCG(6, 6)), 100, 3, time.Second)...); err != nil {
			t.Fatal(err)
		}
		stop := start(t, w.config(t))
		settle()
		if n := len(w.publisher.On(trigger.Topic)); n > 0 || w.log.Floor() > 0 {
			t.Errorf("%d triggers and floor %d while nothing is recorded: want 0 and 0", n, w.log.Floor())
		}
		away.Store(false)
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		check(t, w, true)
	})
}

// An event ahead of the clock must not let the watermark run ahead: every later play would be refreshed by itself.
func TestPhoneAheadOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := start(t, w.config(t))
		ahead := event.Event{ID: "ahead", Kind: event.Played, User: "fast", Object: "t", Time: time.Now().Add(4 * time.Minute)}
		if err := w.log.Append(ahead); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			<-time.After(10 * time.Millisecond)
			e := event.Event{ID: fmt.Sprint(i), Kind: event.Played, User: "ann", Object: "t", Time: time.Now()}
			if err := w.log.Append(e); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		listeners, _, err := w.publisher.Triggers()
		if err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for _, tr := range listeners {
			if tr.User != "ann" || tr.Due[0].Count != 10 && tr.Due[0].Shelf != "binge" {
				t.Errorf("trigger %+v: want one run of ann's 10 plays, and none of fast's yet", tr)
			}
		}
		if len(listeners) != 4 {
			t.Errorf("%d triggers: want one each for the 4 shelves of plays", len(listeners))
		}
	})
}
