package local_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trigger"
)

// killer ends a process at one of its calls: from then on no call of it has an effect, and what it writes to its
// directory is not what the next process finds.
type killer struct {
	t    *testing.T
	mu   sync.Mutex
	left int // calls until the kill; negative: never
	dead bool
	dir  string
	next string // the directory as it was at the kill
}

func (k *killer) call() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left == 0 && !k.dead {
		k.dead = true
		if err := os.CopyFS(k.next, os.DirFS(k.dir)); err != nil {
			k.t.Error(err)
		}
	}
	k.left--
	if k.dead {
		return errAway
	}
	return nil
}

func (k *killer) killed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// watched checks what is published: a trigger's events have to be recorded by then. When it is killed in the middle
// of a batch, some of it is published.
type watched struct {
	*world
	kill *killer
}

func (w *watched) Publish(ctx context.Context, topic string, messages ...bus.Message) error {
	if time.Now().Second()%20 < 8 && !w.kill.killed() {
		return errAway // so that it is killed with triggers in hand, too
	}
	dead := w.kill.killed()
	err := w.kill.call()
	if dead {
		return err
	}
	if err != nil {
		messages = messages[:len(messages)/2]
	}
	for _, m := range messages {
		if topic != trigger.Topic {
			continue
		}
		tr, decodeErr := trigger.Decode(m.Data)
		if decodeErr != nil {
			w.kill.t.Error(decodeErr)
		}
		for _, d := range tr.Due {
			if !w.recorder.Has(d.First.ID) || !w.recorder.Has(d.Last.ID) {
				w.kill.t.Errorf("trigger %+v was published before its events were recorded", tr)
			}
		}
	}
	if publishErr := w.publisher.Publish(ctx, topic, messages...); publishErr != nil {
		return publishErr
	}
	return err
}

// feed appends the events as they happen, and then tells it.
func feed(t *testing.T, w *world, events []event.Event) (fed chan struct{}) {
	fed = make(chan struct{})
	shift := time.Since(epoch)
	go func() {
		defer close(fed)
		for _, e := range events {
			e.Time = e.Time.Add(shift)
			<-time.After(time.Until(e.Time))
			if err := w.log.Append(e); err != nil {
				t.Error(err)
			}
		}
	}()
	return fed
}

// live runs a driver on the world until it makes its last call, or until fed, and returns whether it was killed.
func live(t *testing.T, w *world, calls int, every time.Duration, fed <-chan struct{}) bool {
	k := &killer{t: t, dir: w.dir, next: filepath.Join(t.TempDir(), "at the kill"), left: calls}
	w.log.Fail = func(string) error { return k.call() }
	w.recorder.Fail = func([]event.Event) error { return k.call() }
	cfg := w.config(t)
	cfg.Publisher, cfg.CheckpointEvery = &watched{w, k}, every
	if calls%2 == 0 {
		cfg.MergeAfter = 5 * time.Second // which the outages of the bus exceed
	}
	stop := start(t, cfg)
	for !k.killed() {
		select {
		case <-time.After(100 * time.Millisecond):
			continue
		case <-fed:
		}
		<-time.After(3 * time.Hour) // until the last window with plays has ended
		if k.killed() {
			break
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		return false
	}
	_ = stop() // it can't drain
	w.dir = k.next
	return true
}

func TestKillsLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 10))
				w := newWorld(t)
				gap := []time.Duration{50 * time.Millisecond, time.Second}[seed%2]
				fed := feed(t, w, makeEvents(rng, 500, 15, gap))
				kills := 0
				for live(t, w, rng.IntN(250), 20*gap, fed) {
					kills++
				}
				if kills < 3 {
					t.Errorf("%d kills: want some", kills)
				}
				w.log.Fail, w.recorder.Fail = nil, nil
				check(t, w, false)
			})
		})
	}
}

// Without a file the floor alone loses nothing, either; only what waits for several events and trends forget.
func TestKillsWithoutFileLoseNothing(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 11))
				w := newWorld(t)
				events := makeEvents(rng, 1000, 15, 500*time.Millisecond)
				w.dir = ""
				for range 8 {
					n := min(len(events), rng.IntN(250))
					if err := w.log.Append(events[:n]...); err != nil {
						t.Fatal(err)
					}
					events = events[n:]
					calls := rng.IntN(40)
					fail := func() error { calls--; return failIf(calls < 0) }
					var mu sync.Mutex
					w.log.Fail = func(string) error { mu.Lock(); defer mu.Unlock(); return fail() }
					w.publisher.Fail = w.log.Fail
					stop := start(t, w.config(t))
					<-time.After(30 * time.Second)
					mu.Lock()
					calls = -1
					mu.Unlock()
					_ = stop()
				}
				w.log.Fail, w.publisher.Fail = nil, nil
				if err := w.log.Append(events...); err != nil {
					t.Fatal(err)
				}
				stop := start(t, w.config(t))
				settle()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				want := pipelinetest.Reference(w.log.Entries(), newPolicy(t), nil, time.Now(), time.Now())
				listeners, _, err := w.publisher.Triggers()
				if err != nil {
					t.Fatal(err)
				}
				if lost := pipelinetest.Uncovered(want.Events, listeners, staleBy); len(lost) > 0 {
					t.Errorf("%d events are in no trigger, the first is %+v", len(lost), lost[0])
				}
			})
		})
	}
}

// A clean stop repeats nothing: all lives together publish exactly the triggers of one.
func TestCleanStopsRepeatNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(12, 12))
		w := newWorld(t)
		for chunk := range slices.Chunk(makeEvents(rng, 1000, 15, time.Second), 130) {
			if err := w.log.Append(chunk...); err != nil {
				t.Fatal(err)
			}
			w.log.More = 1 // so that the clock doesn't overtake the events to come
			stop := start(t, w.config(t))
			synctest.Wait()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
		w.log.More = 0
		stop := start(t, w.config(t))
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		check(t, w, true)
	})
}

// With a file that is damaged, or belongs to another log, everything behind the floor is decided again.
func TestUselessFileLosesNothing(t *testing.T) {
	spoil := map[string]func(t *testing.T, w *world){
		"damaged": func(t *testing.T, w *world) {
			name := filepath.Join(w.dir, "pipeline.snapshot")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2]++
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"of another log": func(t *testing.T, w *world) {
			w.log = &pipelinetest.Log{}
			if err := w.log.Append(makeEvents(rand.New(rand.NewPCG(14, 14)), 50, 5, time.Second)...); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				events := makeEvents(rand.New(rand.NewPCG(13, 13)), 300, 5, time.Second)
				if err := w.log.Append(events[:200]...); err != nil {
					t.Fatal(err)
				}
				stop := start(t, w.config(t))
				<-time.After(time.Hour)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				spoil(t, w)
				if err := w.log.Append(events[200:]...); err != nil {
					t.Fatal(err)
				}
				stop = start(t, w.config(t))
				settle()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				want := pipelinetest.Reference(w.log.Entries(), newPolicy(t), nil, time.Now(), time.Now())
				listeners, _, err := w.publisher.Triggers()
				if err != nil {
					t.Fatal(err)
				}
				if lost := pipelinetest.Uncovered(want.Events, listeners, staleBy); len(lost) > 0 {
					t.Errorf("%d events are in no trigger, the first is %+v", len(lost), lost[0])
				}
				if entries := w.log.Entries(); w.log.Floor() != uint64(len(entries)) {
					t.Errorf("floor %d: want %d", w.log.Floor(), len(entries))
				}
			})
		})
	}
}

// A stop while the recorder is away gives up after the drain timeout and says so; the next life goes on.
func TestStopDuringOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.recorder.Fail = func([]event.Event) error { return errAway }
		if err := w.log.Append(makeEvents(rand.New(rand.NewPCG(15, 15)), 300, 5, time.Second)...); err != nil {
			t.Fatal(err)
		}
		stop := start(t, w.config(t))
		<-time.After(time.Minute)
		began := time.Now()
		err := stop()
		if took := time.Since(began); err == nil || took != 10*time.Second {
			t.Errorf("stop took %v with error %v: want the drain timeout, 10s, and an error", took, err)
		}
		w.recorder.Fail = nil
		stop = start(t, w.config(t))
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		check(t, w, true)
	})
}

// The floor never moves past an event whose refresh is to come.
func TestFloorWaitsForTriggers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.windows.Shelf = "trending"
		stop := start(t, w.config(t))
		var floors []uint64
		for i := range 4 {
			e := event.Event{ID: fmt.Sprint(i), Kind: event.Played, User: fmt.Sprint("u", i), Object: "t", Time: time.Now()}
			if err := w.log.Append(e); err != nil {
				t.Fatal(err)
			}
			<-time.After(25 * time.Second)
			floors = append(floors, w.log.Floor())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		// Shelf "slow" is due a minute after each play.
		if diff := cmp.Diff([]uint64{0, 0, 1, 2}, floors); diff != "" {
			t.Errorf("floors every 25 s (-want +got):\n%s", diff)
		}
	})
}
