package admission_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homefeed/api/admission"
	"homefeed/api/apierror"
)

func newGate(most int) (*admission.Gate, *apierror.Error, prometheus.Counter) {
	full := apierror.Unavailable("OVERLOADED", "full", time.Second, nil)
	refused := prometheus.NewCounter(prometheus.CounterOpts{Name: "refused_total"})
	return admission.New(most, full, refused), full, refused
}

func TestGate(t *testing.T) {
	g, full, refused := newGate(2)
	for i := range 2 {
		if err := errors.Join(g.Full(), g.Full(), g.Enter()); err != nil {
			t.Fatalf("place %d: %v", i, err)
		}
	}
	if err := g.Enter(); !errors.Is(err, full) {
		t.Errorf("a third enters: %v", err)
	}
	if err := g.Full(); !errors.Is(err, full) {
		t.Errorf("a third asks: %v", err)
	}
	if n := testutil.ToFloat64(refused); n != 2 {
		t.Errorf("%g counted, want 2", n)
	}
	g.Leave()
	if err := errors.Join(g.Full(), g.Enter()); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

// TestGateAtOnce holds that no more are inside than there are places, and that none is lost.
func TestGateAtOnce(t *testing.T) {
	const most = 3
	g, _, _ := newGate(most)
	var inside, came atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				if g.Enter() != nil {
					continue
				}
				came.Add(1)
				if n := inside.Add(1); n > most {
					t.Errorf("%d inside, want at most %d", n, most)
				}
				inside.Add(-1)
				g.Leave()
			}
		})
	}
	all.Wait()
	if came.Load() == 0 {
		t.Error("nobody came in")
	}
	for i := range most {
		if err := g.Enter(); err != nil {
			t.Errorf("place %d is lost", i)
		}
	}
	if g.Enter() == nil {
		t.Error("there are more places than before")
	}
}
