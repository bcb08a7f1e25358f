package memlimit_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/cmd/dev/memlimit"
)

func TestFor(t *testing.T) {
	for _, test := range []struct{ budget, inUse, want int64 }{
		{100, 0, 100},
		{100, 50, 100},
		{100, 51, 102},
		{100, 500, 1000},
	} {
		if got := memlimit.For(test.budget, test.inUse); got != test.want {
			t.Errorf("For(%d, %d) = %d, want %d", test.budget, test.inUse, got, test.want)
		}
	}
}

// TestKeep holds much more than the budget, lets go of it, and sees the limit follow there, back and to what it was.
func TestKeep(t *testing.T) {
	const budget, much = 128 << 20, 256 << 20
	before := debug.SetMemoryLimit(-1)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- memlimit.Keep(ctx, budget) }()
		after := func(d time.Duration) int64 {
			time.Sleep(d) // of the bubble's clock
			synctest.Wait()
			return debug.SetMemoryLimit(-1)
		}
		if limit := after(0); limit != budget {
			t.Errorf("limit %d at first, want %d", limit, int64(budget))
		}
		held := make([]byte, much)
		runtime.GC()
		if limit := after(time.Minute); limit < 2*much {
			t.Errorf("limit %d with %d in use, want twice as much", limit, len(held))
		}
		runtime.KeepAlive(held)
		held = nil
		runtime.GC()
		if limit := after(time.Minute); limit != budget {
			t.Errorf("limit %d with little in use, want %d again", limit, int64(budget))
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Keep ended with %v, want the context's error", err)
		}
	})
	if limit := debug.SetMemoryLimit(-1); limit != before {
		t.Errorf("limit %d at the end, want %d as before", limit, before)
	}
}
