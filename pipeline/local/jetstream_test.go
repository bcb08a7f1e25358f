package local_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/bus"
	buslocal "homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/local"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

// On the real bus: what is published in order of time, with a stop in the middle, makes the triggers of the
// reference, bad messages become dead letters, and the floor reaches the end.
func TestOnJetStream(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, err := buslocal.Open(ctx, buslocal.Options{Dir: filepath.Join(dir, "bus")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	var entries []bus.Entry
	publish := func(events []event.Event) {
		t.Helper()
		var copied pipelinetest.Log
		if err := copied.Append(events...); err != nil {
			t.Fatal(err)
		}
		copied.AppendRaw(event.Played.Topic(), bus.Message{Data: []byte("garbage")})
		for _, e := range copied.Entries() {
			if err := b.Publish(ctx, e.Topic, e.Message); err != nil {
				t.Fatal(err)
			}
		}
		entries = append(entries, copied.Entries()...)
	}
	recorder, windows := &pipelinetest.Recorder{}, &trends.Config{}
	// live runs a driver until so many entries are read and, if it is told that nothing more waits, the floor is at the end.
	live := func(more, read int) {
		t.Helper()
		opened, err := b.OpenLog(ctx, "pipeline", event.Topics())
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		log := &lagging{Log: opened, more: more, changed: make(chan struct{}, 1)}
		stop := start(t, local.Config{Log: log, Publisher: b, Recorder: recorder, Policy: newPolicy(t), Trends: windows,
			Dir: filepath.Join(dir, "pipeline")})
		floor := uint64(0)
		if more == 0 {
			if floor, err = opened.End(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.await(ctx, read, floor); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	events := makeEvents(rand.New(rand.NewPCG(20, 20)), 3000, 40, 500*time.Millisecond)
	publish(events[:1500])
	live(1, 1501) // it is never told that nothing waits, so the clock doesn't overtake what is to come
	publish(events[1500:])
	live(0, 1501)

	want := pipelinetest.Reference(entries, newPolicy(t), windows, time.Now(), time.Now())
	var listeners, markets []trigger.Trigger
	for _, data := range everything(ctx, t, b, trigger.Topic) {
		tr, err := trigger.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if tr.Market != "" {
			markets = append(markets, tr)
		} else {
			listeners = append(listeners, tr)
		}
	}
	wantRows := pipelinetest.Rows(append(want.Triggers, want.Trends...))
	if diff := cmp.Diff(wantRows, pipelinetest.Rows(append(listeners, markets...))); diff != "" {
		t.Errorf("rows (-reference +driver):\n%s", diff)
	}
	pipelinetest.Sort(listeners)
	if diff := cmp.Diff(want.Triggers, listeners); diff != "" {
		t.Errorf("triggers (-reference +driver):\n%s", diff)
	}
	if letters := everything(ctx, t, b, event.DeadLetterTopic); len(letters) != 1 && len(letters) != 2 {
		t.Errorf("%d dead letters: want the two that are alike, once or twice", len(letters))
	}
	if recorder.Len() != 3000 {
		t.Errorf("%d events are recorded: want 3000", recorder.Len())
	}
}

// lagging is a log that tells how far it is used, and counts more messages waiting than there are.
type lagging struct {
	bus.Log
	more    int
	changed chan struct{} // something was read, or the floor set
	mu      sync.Mutex
	entries int
	pos     uint64
}

func (l *lagging) Read(ctx context.Context, most int) ([]bus.Entry, error) {
	entries, err := l.Log.Read(ctx, most)
	l.note(len(entries), 0)
	return entries, err
}

func (l *lagging) Waiting(ctx context.Context) (int, error) {
	n, err := l.Log.Waiting(ctx)
	return n + l.more, err
}

func (l *lagging) End(ctx context.Context) (uint64, error) {
	end, err := l.Log.End(ctx)
	return end + uint64(l.more), err
}

func (l *lagging) SetFloor(ctx context.Context, pos uint64) error {
	err := l.Log.SetFloor(ctx, pos)
	if err == nil {
		l.note(0, pos)
	}
	return err
}

func (l *lagging) note(entries int, pos uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries += entries
	l.pos = max(l.pos, pos)
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// await waits until so many entries are read and the floor is there.
func (l *lagging) await(ctx context.Context, entries int, floor uint64) error {
	for {
		l.mu.Lock()
		gotEntries, gotFloor := l.entries, l.pos
		l.mu.Unlock()
		if gotEntries >= entries && gotFloor >= floor {
			return nil
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d entries are read, the floor is at %d of %d: %w", gotEntries, entries, gotFloor, floor, ctx.Err())
		}
	}
}

// everything is the data of all messages on a topic.
func everything(ctx context.Context, t *testing.T, b *buslocal.Bus, topic string) [][]byte {
	t.Helper()
	log, err := b.OpenLogAt(ctx, []string{topic}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var all [][]byte
	for {
		waiting, err := log.Waiting(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			return all
		}
		entries, err := log.Read(ctx, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Data)
		}
	}
}
