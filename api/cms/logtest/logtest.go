// Package logtest is the contract of cms.Log as a test that every log runs.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/cms"
)

// timeout bounds every call: generous, because the machine may be busy.
const timeout = time.Minute

// Run tests the logs that open makes: an empty one each time, which Run closes.
func Run(t *testing.T, open func(t *testing.T) cms.Log) {
	for name, test := range map[string]func(*testing.T, cms.Log){
		"entries come back in order":  testOrder,
		"a number is taken once":      testTaken,
		"one of many gets the number": testRace,
		"the largest entry":           testLargest,
		"the state":                   testState,
		"no slice is kept or shared":  testSlices,
		"an ended context":            testEndedContext,
		"closed":                      testClosed,
	} {
		t.Run(name, func(t *testing.T) {
			log := open(t)
			t.Cleanup(func() {
				if err := log.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			test(t, log)
		})
	}
}

func appended(t *testing.T, log cms.Log, seq int64, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := log.Append(ctx, seq, []byte(data)); err != nil {
		t.Fatalf("Append(%d): %v", seq, err)
	}
}

func read(t *testing.T, log cms.Log, from int64, limit int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	entries, err := log.Read(ctx, from, limit)
	if err != nil {
		t.Fatalf("Read(%d, %d): %v", from, limit, err)
	}
	texts := []string{}
	for _, e := range entries {
		texts = append(texts, string(e))
	}
	return texts
}

func testOrder(t *testing.T, log cms.Log) {
	if got := read(t, log, 1, 10); len(got) > 0 {
		t.Errorf("a new log has %q", got)
	}
	if err := log.SaveState(t.Context(), []byte("state")); err != nil { // not among the entries
		t.Fatal(err)
	}
	var all []string
	for seq := range int64(12) { // numbers of one and two digits
		all = append(all, fmt.Sprint("entry ", seq+1))
		appended(t, log, seq+1, all[seq])
	}
	for _, c := range []struct {
		from  int64
		limit int
		want  []string
	}{
		{1, 100, all}, {1, 2, all[:2]}, {9, 3, all[8:11]}, {12, 5, all[11:]}, {13, 5, []string{}}, {1, 0, []string{}},
	} {
		if diff := cmp.Diff(c.want, read(t, log, c.from, c.limit)); diff != "" {
			t.Errorf("from %d, limit %d (-want +got):\n%s", c.from, c.limit, diff)
		}
	}
}

func testTaken(t *testing.T, log cms.Log) {
	appended(t, log, 1, "first")
	for _, data := range []string{"second", "first"} {
		if err := log.Append(t.Context(), 1, []byte(data)); !errors.Is(err, cms.ErrTaken) {
			t.Errorf("Append(%q): %v, want ErrTaken", data, err)
		}
	}
	if diff := cmp.Diff([]string{"first"}, read(t, log, 1, 10)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testRace: of many who append the same number one succeeds, and it is the one whose entry is read.
func testRace(t *testing.T, log cms.Log) {
	const writers = 8
	for seq := range int64(5) {
		var wg sync.WaitGroup
		var won atomic.Value
		var wins atomic.Int64
		for w := range writers {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				data := fmt.Sprintf("%d by %d", seq+1, w)
				switch err := log.Append(ctx, seq+1, []byte(data)); {
				case err == nil:
					wins.Add(1)
					won.Store(data)
				case !errors.Is(err, cms.ErrTaken):
					t.Errorf("Append: %v", err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("entry %d was appended %d times", seq+1, wins.Load())
		}
		if got := read(t, log, seq+1, 1); got[0] != won.Load() {
			t.Errorf("entry %d is %q, want %q", seq+1, got, won.Load())
		}
	}
}

func testLargest(t *testing.T, log cms.Log) {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := log.Append(ctx, 1, make([]byte, cms.MaxEntry+1)); err == nil || errors.Is(err, cms.ErrTaken) {
		t.Errorf("an entry over the limit: %v", err)
	}
	if err := log.SaveState(ctx, make([]byte, cms.MaxEntry+1)); err == nil {
		t.Error("a state over the limit: no error")
	}
	if err := log.Append(ctx, 1, make([]byte, 2<<20)); err != nil {
		t.Error(err)
	}
	if got := read(t, log, 1, 1); len(got) != 1 || len(got[0]) != 2<<20 {
		t.Error("a large entry came back otherwise")
	}
}

func testState(t *testing.T, log cms.Log) {
	if got, err := log.LoadState(t.Context()); got != nil || err != nil {
		t.Errorf("of a new log: %q, %v", got, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := log.SaveState(t.Context(), []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := log.LoadState(t.Context()); string(got) != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func testSlices(t *testing.T, log cms.Log) {
	data := []byte("entry")
	if err := log.Append(t.Context(), 1, data); err != nil {
		t.Fatal(err)
	}
	copy(data, "XXXXX")
	entries, err := log.Read(t.Context(), 1, 1)
	if err != nil || string(entries[0]) != "entry" {
		t.Fatalf("%q, %v", entries, err)
	}
	copy(entries[0], "YYYYY")
	if diff := cmp.Diff([]string{"entry"}, read(t, log, 1, 1)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testEndedContext(t *testing.T, log cms.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range everyCall(ctx, log) {
		if err == nil || errors.Is(err, cms.ErrTaken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testClosed(t *testing.T, log cms.Log) {
	for range 2 {
		if err := log.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	for name, err := range everyCall(t.Context(), log) {
		if !errors.Is(err, cms.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

func everyCall(ctx context.Context, log cms.Log) map[string]error {
	_, read := log.Read(ctx, 1, 1)
	_, load := log.LoadState(ctx)
	return map[string]error{
		"Append": log.Append(ctx, 1, []byte("entry")), "Read": read, "LoadState": load,
		"SaveState": log.SaveState(ctx, []byte("state")),
	}
}
