// Package api is the HTTP edge: Home and single shelves out of the row store, and events into the bus. Home is
// made by joining bytes that the refresh runner encoded; a row that is missing, old or out of reach means another
// rung of the fallback ladder, never an error.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/identity"
	"homefeed/api/marketcache"
	"homefeed/pipeline/bus"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// Rows is what the API needs of store.Store.
type Rows interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
}

// Config is what the API is made of. Rows, Bus, Shelves and Verifier are needed.
type Config struct {
	Rows       Rows
	Bus        bus.Publisher
	Shelves    []*shelf.Shelf
	Placements Placements // to begin with; none: DefaultPlacements
	Verifier   identity.Verifier
	Limits     Limits
	Registerer prometheus.Registerer // nil: not registered
	Log        *slog.Logger          // nil: nothing is logged
	Now        func() time.Time      // nil: time.Now
}

// Limits bound what a request may take. Zero fields take the defaults named there.
type Limits struct {
	Request        time.Duration // of a whole request; 0 means 10 s
	StoreTimeout   time.Duration // of one read; 0 means 300 ms
	PublishTimeout time.Duration // of one batch; 0 means 5 s
	// MarketAge is after how long a market's row is read again, in the background; 0 means 2 s.
	MarketAge time.Duration
	// Intakes is how many batches of events are handled at once, each up to 1 MiB and what it decodes to; more
	// are told to come again. 0 means 64.
	Intakes int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&l.Request, 10 * time.Second},
		{&l.StoreTimeout, 300 * time.Millisecond},
		{&l.PublishTimeout, 5 * time.Second},
		{&l.MarketAge, 2 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if l.Intakes <= 0 {
		l.Intakes = 64
	}
	return l
}

// API is an http.Handler for everything below /v1/.
type API struct {
	rows     Rows
	bus      bus.Publisher
	verifier identity.Verifier
	limits   Limits
	log      *slog.Logger
	now      func() time.Time
	metrics  *metrics
	shelves  []*shelf.Shelf
	config   atomic.Pointer[config]
	markets  *marketcache.Cache
	buffers  *sync.Pool    // of *[]byte, for Home
	intakes  chan struct{} // one a batch being handled
	mux      *http.ServeMux

	mu   sync.Mutex
	down map[string]bool // what failed last, so that an outage is logged once and not once a request
}

// New makes the API. Its error says what is missing or which placement is wrong.
func New(c Config) (*API, error) {
	switch {
	case c.Rows == nil:
		return nil, errors.New("api: Rows: want a row store")
	case c.Bus == nil:
		return nil, errors.New("api: Bus: want a publisher")
	case c.Verifier == nil:
		return nil, errors.New("api: Verifier: want one")
	case len(c.Shelves) == 0:
		return nil, errors.New("api: Shelves: want at least one")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &API{
		rows: c.Rows, bus: c.Bus, verifier: c.Verifier, limits: c.Limits.withDefaults(), log: c.Log, now: c.Now,
		shelves: c.Shelves, buffers: newBuffers(), down: map[string]bool{},
	}
	a.intakes = make(chan struct{}, a.limits.Intakes)
	err := checkShelves(c.Shelves)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if a.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, fmt.Errorf("api: registering metrics: %w", err)
	}
	if err := a.SetPlacements(c.Placements); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	a.markets = marketcache.New(a.limits.MarketAge, a.now, a.readMarket)
	a.mux = a.newMux()
	return a, nil
}

// Close ends the background reads and waits for them. Requests that are still running are answered, without the
// shelves of markets that were not read before.
func (a *API) Close() { a.markets.Close() }

func (a *API) readMarket(ctx context.Context, key store.Key) (store.Row, error) {
	row, err := a.readRow(ctx, key)
	if err != nil {
		a.degraded("market", err)
		return row, fmt.Errorf("reading market row: %w", err)
	}
	a.recovered("market")
	return row, nil
}

// Server is an http.Server for h with the limits that face the open network: 16 KiB of headers, 10 s to send them,
// 30 s for a whole request and 2 minutes between two on one connection. The caller starts it and shuts it down.
func Server(addr string, h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Addr: addr, Handler: h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	return s
}

// degraded counts a failure, and logs it when it is the first after things went well.
func (a *API) degraded(what string, err error) {
	if errors.Is(err, context.Canceled) { // the caller went away
		return
	}
	a.metrics.failures.WithLabelValues(what).Inc()
	a.mu.Lock()
	first := !a.down[what]
	a.down[what] = true
	a.mu.Unlock()
	if first {
		a.log.Warn("degraded until further notice", "what", what, "error", err)
	}
}

// recovered logs the end of what degraded began.
func (a *API) recovered(what string) {
	a.mu.Lock()
	was := a.down[what]
	a.down[what] = false
	a.mu.Unlock()
	if was {
		a.log.Info("works again", "what", what)
	}
}

// brokenCell reports a cell whose bytes are not a shelf's: somebody wrote what this program can't read. It is logged
// once, since every Home of the row would say it again.
func (a *API) brokenCell(p *place, err error) {
	a.degraded("cell", fmt.Errorf("shelf %s: %w", p.shelf.Name, err))
}
