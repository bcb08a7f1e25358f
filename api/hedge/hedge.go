// Package hedge asks a store a second time when the first answer is late, and takes what comes first. A read of one row
// is idempotent and cheap, and what makes one late (a tablet that moves, a lost packet) seldom makes the next one late
// too. A store that is slow for all must not get twice the reads for it, so hedges have a budget.
package hedge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/shelves/store"
)

// Store is what a Hedge stands in front of: a store.Store that somebody else closes.
type Store interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
	Write(ctx context.Context, key store.Key, cells ...store.Cell) error
	Delete(ctx context.Context, key store.Key, at time.Time) error
}

// Options bound a Hedge. Zero fields take the defaults named there.
type Options struct {
	// Budget is how many reads may be hedged, of all; 0 means 0.05.
	Budget float64
	// Burst is how many hedges a quiet time may save up; 0 means 10.
	Burst int
	// Least is how long a read is waited for in any case; 0 means 1 ms.
	Least time.Duration
	// Registerer gets homefeed_store_hedges_total; nil: nobody.
	Registerer prometheus.Registerer
}

// Hedge is a store whose late reads are asked again. Writes pass through. It is safe for concurrent use.
type Hedge struct {
	Store
	options   Options
	won, lost prometheus.Counter // the second read was first, or not
	denied    prometheus.Counter // there was no budget for a second one

	mu     sync.Mutex
	saved  float64 // hedges
	recent [window]time.Duration
	reads  int
	late   time.Duration // just above the 95th percentile of recent; 0: too few
}

// A read is late when it takes longer than 95% of the last window reads did; that is looked up every so many reads.
const (
	window = 256
	every  = 32
	rank   = 95 // percent
)

// New makes a Hedge in front of s. It fails if the metric's name is taken.
func New(s Store, o Options) (*Hedge, error) {
	if o.Budget <= 0 {
		o.Budget = .05
	}
	if o.Burst <= 0 {
		o.Burst = 10
	}
	if o.Least <= 0 {
		o.Least = time.Millisecond
	}
	hedges := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "homefeed", Subsystem: "store", Name: "hedges_total",
		Help: "Late reads, by what became of asking again: won, lost, or denied for want of a budget.",
	}, []string{"result"})
	if o.Registerer != nil {
		if err := o.Registerer.Register(hedges); err != nil {
			return nil, fmt.Errorf("registering metrics of hedges: %w", err)
		}
	}
	return &Hedge{
		Store: s, options: o, saved: float64(o.Burst),
		won: hedges.WithLabelValues("won"), lost: hedges.WithLabelValues("lost"), denied: hedges.WithLabelValues("denied"),
	}, nil
}

// attempt is what a read came to.
type attempt struct {
	row    store.Row
	err    error
	second bool
}

// Read is store.Store's. The read that is not needed any more has its context cancelled, and ends by itself. An error is
// returned when no read that could still succeed is under way; asking again after an error is the store's own business.
func (h *Hedge) Read(ctx context.Context, key store.Key, versions int) (store.Row, error) {
	late := h.begin()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attempts := make(chan attempt, 2) // so that neither waits for us
	began := time.Now()
	go h.attempt(ctx, attempts, key, versions, false)
	underWay := 1
	var again <-chan time.Time
	if late > 0 {
		timer := time.NewTimer(late)
		defer timer.Stop()
		again = timer.C
	}
	hedged := false
	for {
		select {
		case a := <-attempts:
			if underWay--; a.err != nil && underWay > 0 {
				continue
			}
			h.end(a, hedged, time.Since(began))
			return a.row, a.err
		case <-again:
			if hedged = h.take(); hedged {
				go h.attempt(ctx, attempts, key, versions, true)
				underWay++
			}
		case <-ctx.Done():
			return store.Row{}, fmt.Errorf("reading row: %w", ctx.Err())
		}
	}
}

// attempt ends with the store's Read, which ends with ctx.
func (h *Hedge) attempt(ctx context.Context, attempts chan<- attempt, key store.Key, versions int, second bool) {
	a := attempt{second: second}
	defer func() {
		if p := recover(); p != nil { // in a goroutine of its own it would end the process
			a.err = fmt.Errorf("reading row: panic: %v", p)
		}
		attempts <- a
	}()
	a.row, a.err = h.Store.Read(ctx, key, versions)
}

// begin earns the read's part of the budget, and says after how long it is late; 0: nobody knows yet.
func (h *Hedge) begin() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.saved = min(h.saved+h.options.Budget, float64(h.options.Burst))
	if h.late == 0 {
		return 0
	}
	return max(h.late, h.options.Least)
}

// take takes a hedge from the budget.
func (h *Hedge) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.saved < 1 {
		h.denied.Inc()
		return false
	}
	h.saved--
	return true
}

// end notes how long the answer took. Errors don't count: they are quick or as slow as a deadline, and say nothing of
// when an answer is late.
func (h *Hedge) end(a attempt, hedged bool, took time.Duration) {
	if hedged && a.second && a.err == nil {
		h.won.Inc()
	} else if hedged {
		h.lost.Inc()
	}
	if a.err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent[h.reads%window] = took
	if h.reads++; h.reads < window/2 || h.reads%every != 0 {
		return
	}
	sorted := slices.Clone(h.recent[:min(h.reads, window)])
	slices.Sort(sorted)
	h.late = sorted[len(sorted)*rank/100] + 1
}
