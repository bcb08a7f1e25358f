package bustest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/bus"
)

// TestLog holds a Log to the contract. open makes a bus, with OpenLog, for one subtest.
func TestLog(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"OrderAndContent":  testLogOrder,
		"FloorOutlives":    testLogFloor,
		"FloorOnlyRises":   testLogFloorOnlyRises,
		"EachNameItsFloor": testLogNames,
		"Deadlines":        testLogDeadlines,
		"WaitingZero":      testLogWaitingZero,
		"CloseEndsRead":    testLogClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// readN reads n entries, at most max at a time.
func readN(t testing.TB, l bus.Log, n, max int) []bus.Entry {
	t.Helper()
	ctx := patient(t)
	var all []bus.Entry
	for len(all) < n {
		most := min(max, n-len(all))
		entries, err := l.Read(ctx, most)
		if err != nil {
			t.Fatalf("Read after %d entries: %v", len(all), err)
		}
		if len(entries) == 0 || len(entries) > most {
			t.Fatalf("Read(%d) returned %d entries, want 1 to %d", most, len(entries), most)
		}
		all = append(all, entries...)
	}
	return all
}

func checkEntries(t testing.TB, got []bus.Entry, want []bus.Message) {
	t.Helper()
	msgs := make([]bus.Message, len(got))
	for i := range got {
		msgs[i] = got[i].Message
	}
	if diff := cmp.Diff(want, msgs); diff != "" {
		t.Fatalf("entries (-published +read):\n%s", diff)
	}
}

func setFloor(t testing.TB, l bus.Log, pos uint64) {
	t.Helper()
	if err := l.SetFloor(patient(t), pos); err != nil {
		t.Fatalf("SetFloor(%d): %v", pos, err)
	}
}

// testLogOrder: entries come as published and in that order, with rising positions from 1.
func testLogOrder(t *testing.T, f Fixture) {
	l := f.OpenLog(t, "order")
	defer closeIt(t, l)
	if got := l.Floor(); got != 0 {
		t.Errorf("Floor of a new log: %d, want 0", got)
	}
	want := messages("k", 0, 500)
	for from := 0; from < len(want); from += 50 {
		publish(t, f.Publisher, f.Topic, want[from:from+50]...)
	}
	got := readN(t, l, len(want), 33)
	checkEntries(t, got, want)
	pos := uint64(0)
	for _, e := range got {
		if e.Pos <= pos {
			t.Fatalf("position %d after %d, want rising", e.Pos, pos)
		}
		pos = e.Pos
		if e.Topic != f.Topic || e.Published.IsZero() {
			t.Fatalf("entry %d: Topic %q, Published %v", e.Pos, e.Topic, e.Published)
		}
	}
}

// testLogFloor: after a new start, reading goes on behind the floor, and only there.
func testLogFloor(t *testing.T, f Fixture) {
	want := messages("k", 0, 30)
	publish(t, f.Publisher, f.Topic, want...)
	l := f.OpenLog(t, "floor")
	readN(t, l, 20, 7) // without a floor: to be read again
	closeIt(t, l)

	f = f.Reopen(t)
	l = f.OpenLog(t, "floor")
	got := readN(t, l, 30, 10)
	checkEntries(t, got, want)
	setFloor(t, l, got[11].Pos)
	closeIt(t, l)

	f = f.Reopen(t)
	l = f.OpenLog(t, "floor")
	defer closeIt(t, l)
	if l.Floor() != got[11].Pos {
		t.Errorf("Floor %d after reopening, want %d", l.Floor(), got[11].Pos)
	}
	more := messages("more", 0, 3)
	publish(t, f.Publisher, f.Topic, more...)
	again := readN(t, l, 21, 100)
	checkEntries(t, again, append(want[12:], more...))
	if again[0].Pos != got[12].Pos {
		t.Errorf("position %d at the second reading, %d at the first", again[0].Pos, got[12].Pos)
	}
}

// testLogFloorOnlyRises: a lower floor is ignored, also the first one after opening.
func testLogFloorOnlyRises(t *testing.T, f Fixture) {
	want := messages("k", 0, 10)
	publish(t, f.Publisher, f.Topic, want...)
	l := f.OpenLog(t, "rises")
	got := readN(t, l, 10, 10)
	setFloor(t, l, got[6].Pos)
	setFloor(t, l, got[3].Pos)
	setFloor(t, l, 0)
	closeIt(t, l)
	l = f.OpenLog(t, "rises")
	setFloor(t, l, got[2].Pos)
	closeIt(t, l)
	l = f.OpenLog(t, "rises")
	defer closeIt(t, l)
	if l.Floor() != got[6].Pos {
		t.Errorf("Floor %d, want the highest that was set, %d", l.Floor(), got[6].Pos)
	}
	checkEntries(t, readN(t, l, 3, 10), want[7:])
}

// testLogNames: logs of different names do not see each other's floors.
func testLogNames(t *testing.T, f Fixture) {
	want := messages("k", 0, 5)
	publish(t, f.Publisher, f.Topic, want...)
	a := f.OpenLog(t, "a")
	got := readN(t, a, 5, 10)
	setFloor(t, a, got[4].Pos)
	closeIt(t, a)
	b := f.OpenLog(t, "b")
	defer closeIt(t, b)
	checkEntries(t, readN(t, b, 5, 10), want)
}

// testLogDeadlines: Read ends with its context, and what comes meanwhile is read later.
func testLogDeadlines(t *testing.T, f Fixture) {
	l := f.OpenLog(t, "deadlines")
	defer closeIt(t, l)
	var want []bus.Message
	var got []bus.Entry
	for round := range 50 {
		batch := messages(fmt.Sprintf("r%d", round), 0, 20)
		publish(t, f.Publisher, f.Topic, batch...)
		want = append(want, batch...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round)*100*time.Microsecond)
		entries, err := l.Read(ctx, 15)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Read: %v, want context.DeadlineExceeded", err)
		}
		got = append(got, entries...)
	}
	got = append(got, readN(t, l, len(want)-len(got), 1000)...)
	checkEntries(t, got, want)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if entries, err := l.Read(ctx, 1); len(entries) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read with nothing there = %d entries, %v, want context.DeadlineExceeded", len(entries), err)
	}
}

// testLogWaitingZero: when Waiting is 0, everything published before the call has been returned.
func testLogWaitingZero(t *testing.T, f Fixture) {
	l := f.OpenLog(t, "waiting")
	defer closeIt(t, l)
	const rounds, perRound = 200, 5
	var published atomic.Int64
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		for r := range rounds {
			if err := f.Publisher.Publish(patient(t), f.Topic, messages("k", r*perRound, perRound)...); err != nil {
				t.Errorf("Publish: %v", err)
				return
			}
			published.Add(perRound)
		}
	})
	ctx := patient(t)
	zeros, last := 0, uint64(0)
	for returned := int64(0); returned < rounds*perRound && !t.Failed(); {
		before := published.Load()
		n, err := l.Waiting(ctx)
		if err != nil {
			t.Fatalf("Waiting: %v", err)
		}
		if n == 0 {
			zeros++
			if returned < before {
				t.Fatalf("Waiting is 0 after %d were published and %d returned", before, returned)
			}
			continue
		}
		entries, err := l.Read(ctx, 4)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		returned += int64(len(entries))
		last = entries[len(entries)-1].Pos
	}
	t.Logf("Waiting was 0 %d times on the way", zeros)
	if n, err := l.Waiting(ctx); n != 0 || err != nil {
		t.Errorf("Waiting at the end = %d, %v, want 0", n, err)
	}
	if end, err := l.End(ctx); end != last || err != nil {
		t.Errorf("End = %d, %v, want the position of the last entry, %d", end, err, last)
	}
	publish(t, f.Publisher, f.Topic, messages("end", 0, 3)...)
	if n, err := l.Waiting(patient(t)); n != 3 || err != nil {
		t.Errorf("Waiting after publishing 3 = %d, %v, want 3", n, err)
	}
}

// testLogClose: a Read that waits ends with an error when the log is closed.
func testLogClose(t *testing.T, f Fixture) {
	l := f.OpenLog(t, "close")
	ended := make(chan error, 1)
	go func() {
		_, err := l.Read(patient(t), 1)
		ended <- err
	}()
	closeIt(t, l)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Read returned no error and no entry after Close")
		}
	case <-patient(t).Done():
		t.Error("Read still waits after Close")
	}
}
