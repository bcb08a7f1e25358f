// Package faults tells of what fails behind an answer that goes out all the same: every failure is counted, and an
// outage is logged once, when it begins and when it is over.
package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Faults are those of one API. They are safe for concurrent use.
type Faults struct {
	failures *prometheus.CounterVec // of what: row, market, publish, cell, panic
	log      *slog.Logger

	mu   sync.Mutex
	down map[string]bool // what failed last
	bad  atomic.Int32    // how many of down are true: most often none, which needs no lock
}

// New makes Faults; with a nil Registerer they count for nobody. It fails if the metric's name is taken.
func New(reg prometheus.Registerer, log *slog.Logger) (*Faults, error) {
	f := &Faults{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "failures_total",
			Help: "What failed without or before its answer, by what.",
		}, []string{"what"}),
		log: log, down: map[string]bool{},
	}
	if reg == nil {
		return f, nil
	}
	if err := reg.Register(f.failures); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return f, nil
}

// Degraded counts a failure, and logs it when it is the first after things went well. A caller who went away is none.
func (f *Faults) Degraded(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	f.failures.WithLabelValues(what).Inc()
	f.mu.Lock()
	first := !f.down[what]
	if first {
		f.down[what] = true
		f.bad.Add(1)
	}
	f.mu.Unlock()
	if first {
		f.log.Warn("degraded until further notice", "what", what, "error", err)
	}
}

// Recovered logs the end of what Degraded began.
func (f *Faults) Recovered(what string) {
	if f.bad.Load() == 0 {
		return
	}
	f.mu.Lock()
	was := f.down[what]
	if was {
		f.down[what] = false
		f.bad.Add(-1)
	}
	f.mu.Unlock()
	if was {
		f.log.Info("works again", "what", what)
	}
}

// Panicked counts a panic, which its own line in the log tells of.
func (f *Faults) Panicked() { f.failures.WithLabelValues("panic").Inc() }
