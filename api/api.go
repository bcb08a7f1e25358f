// Package api is the HTTP edge: Home and single shelves out of the row store, and events into the bus. Home is
// made by joining bytes that the refresh runner encoded; a row that is missing, old or out of reach means another
// rung of the fallback ladder, never an error.
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/cardtoken"
	"homefeed/api/home"
	"homefeed/api/identity"
	"homefeed/api/marketcache"
	"homefeed/api/ondemand"
	"homefeed/api/pagetoken"
	"homefeed/pipeline/bus"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// Rows is what the API needs of store.Store, or of a rowcache.Cache in front of one. With an error Read may give the
// row that was last seen. Nobody changes a row that it gave.
type Rows interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
	Write(ctx context.Context, key store.Key, cells ...store.Cell) error
	Delete(ctx context.Context, key store.Key, at time.Time) error
}

// Config is what the API is made of. Rows, Bus, Shelves and Verifier are needed.
type Config struct {
	Rows       Rows
	Bus        bus.Publisher
	Shelves    []*shelf.Shelf
	Placements Placements // to begin with; none: DefaultPlacements
	Verifier   identity.Verifier
	// OnDemand makes the shelves of listeners who have no row yet. nil: they get the editors' defaults.
	OnDemand ondemand.Maker
	// Events forgets listeners who ask for it, in songs-played. nil: nobody can be erased here.
	Events Eraser
	// Secret keeps tokens from being made up: at least 32 bytes, the same in every instance. nil: one of this
	// process's own, whose tokens nobody takes after it.
	Secret     []byte
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
	// ListenerRate and ServiceRate are how many requests a second one caller may make for long; 0 means 20 and 200.
	ListenerRate float64
	ServiceRate  float64
	// Burst is for how long of its rate a caller who was quiet may ask at once; 0 means 5 s.
	Burst time.Duration
	// HomeAge is for how long a client may show Home without asking again; 0 means 5 s.
	HomeAge time.Duration
	// AnswerBytes is about how much memory the Homes take that were sent last; 0 means 256 MiB, below 0 none is kept.
	AnswerBytes int64
	OnDemand    ondemand.Options
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
		{&l.HomeAge, 5 * time.Second},
		{&l.Burst, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if l.ListenerRate <= 0 {
		l.ListenerRate = 20
	}
	if l.ServiceRate <= 0 {
		l.ServiceRate = 200
	}
	if l.AnswerBytes == 0 {
		l.AnswerBytes = 256 << 20
	}
	if l.Intakes <= 0 {
		l.Intakes = 64
	}
	return l
}

// API is an http.Handler for everything below /v1/.
type API struct {
	rows         Rows
	bus          bus.Publisher
	verifier     identity.Verifier
	limits       Limits
	log          *slog.Logger
	now          func() time.Time
	metrics      *metrics
	shelves      []*shelf.Shelf
	perShelf     map[string]shelfMetrics
	config       atomic.Pointer[home.Config]
	markets      *marketcache.Cache
	demand       *ondemand.Limiter // nil: nobody's shelves are made on demand
	answers      *answers
	tokens       *cardtoken.Tokens
	pages        *pagetoken.Sealer
	callers      *callers
	eraser       Eraser        // nil: nobody can be erased here
	intakes      chan struct{} // one a batch being handled
	cacheControl []string      // of Home
	vary         []string
	peek         func(store.Key) (store.Row, bool) // what Rows has in memory; nil: it has none
	mux          *http.ServeMux

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
		rows: c.Rows, bus: c.Bus, eraser: c.Events, verifier: c.Verifier, limits: c.Limits.withDefaults(), log: c.Log, now: c.Now,
		shelves: c.Shelves, perShelf: map[string]shelfMetrics{}, down: map[string]bool{},
	}
	a.intakes = make(chan struct{}, a.limits.Intakes)
	err := checkShelves(c.Shelves)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if a.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, fmt.Errorf("api: registering metrics: %w", err)
	}
	for _, s := range c.Shelves {
		a.perShelf[s.Name] = a.metrics.shelf(s.Name)
	}
	if err := a.SetPlacements(c.Placements); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if err := a.makeTokens(c.Secret); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if a.answers, err = newAnswers(a.limits.AnswerBytes, a.now); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if a.callers, err = newCallers(a.limits); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if c.OnDemand != nil {
		if a.demand, err = ondemand.New(c.OnDemand, a.limits.OnDemand); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
	}
	a.cacheControl = []string{fmt.Sprintf("private, max-age=%d, stale-while-revalidate=%d, stale-if-error=%d",
		int64(a.limits.HomeAge/time.Second), whileRevalidate, ifError)}
	a.vary = []string{"Accept, Accept-Encoding, Authorization"}
	if cache, ok := c.Rows.(interface {
		Peek(store.Key) (store.Row, bool)
	}); ok {
		a.peek = cache.Peek
	}
	a.markets = marketcache.New(a.limits.MarketAge, a.now, a.readMarket)
	a.mux = a.newMux()
	return a, nil
}

// For how many seconds after HomeAge a client may show the Home that it has while it fetches another, and for how
// many when it can't: a day, as the phone may be in a tunnel.
const (
	whileRevalidate = 60
	ifError         = 24 * 3600
)

func (a *API) makeTokens(secret []byte) (err error) {
	if secret == nil {
		secret = make([]byte, cardtoken.MinSecret)
		_, _ = rand.Read(secret) // never fails
	}
	if a.tokens, err = cardtoken.New(secret); err != nil {
		return err
	}
	a.pages, err = pagetoken.New(secret)
	return err
}

// Close ends the background work and waits for it. Requests that are still running are answered, without the
// shelves of markets that were not read before.
func (a *API) Close() {
	a.markets.Close()
	if a.demand != nil {
		a.demand.Close()
	}
	a.answers.kept.StopAllGoroutines()
	a.callers.buckets.StopAllGoroutines()
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
func (a *API) brokenCell(shelf string, err error) {
	a.degraded("cell", fmt.Errorf("shelf %s: %w", shelf, err))
}
