// Package api is the HTTP edge put together: Home and single shelves out of the row store, events into the bus, and a
// listener's data out of both.
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/cardtoken"
	"homefeed/api/edge"
	"homefeed/api/faults"
	"homefeed/api/homeapi"
	"homefeed/api/identity"
	"homefeed/api/intake"
	"homefeed/api/listenerdata"
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
	// Events has and forgets what listeners did, in songs-played. nil: nobody can be exported or erased here.
	Events listenerdata.Events
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
	Request        time.Duration // of a whole request that changes something; 0 means 10 s
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
	// Homes is how many Homes that are not in memory are read and made at once, at about 200 KiB each; more are told to
	// come again. 0 means 1024.
	Homes int
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
	if l.Homes <= 0 {
		l.Homes = 1024
	}
	return l
}

// API is an http.Handler for everything below /v1/.
type API struct {
	shelves []*shelf.Shelf
	demand  *ondemand.Limiter // nil: nobody's shelves are made on demand
	homes   *homeapi.API
	events  *intake.Handler
	data    *listenerdata.Handler
	edge    *edge.Edge
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
	c.Limits = c.Limits.withDefaults()
	a := &API{shelves: c.Shelves}
	if err := a.build(c); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return a, nil
}

func (a *API) build(c Config) error {
	if err := checkShelves(c.Shelves); err != nil {
		return err
	}
	failed, err := faults.New(c.Registerer, c.Log)
	if err != nil {
		return err
	}
	if c.OnDemand != nil {
		if a.demand, err = ondemand.New(c.OnDemand, c.Limits.OnDemand); err != nil {
			return err
		}
	}
	tokens, pages, err := sealers(c.Secret)
	if err != nil {
		return err
	}
	l := c.Limits
	a.homes, err = homeapi.New(homeapi.Config{
		Rows: c.Rows, Shelves: c.Shelves, Demand: a.demand, Tokens: tokens, Pages: pages, Faults: failed,
		Limits:     homeapi.Limits{StoreTimeout: l.StoreTimeout, MarketAge: l.MarketAge, HomeAge: l.HomeAge, AnswerBytes: l.AnswerBytes, AtOnce: l.Homes},
		Registerer: c.Registerer, Now: c.Now,
	})
	if err != nil {
		return err
	}
	if err := a.SetPlacements(c.Placements); err != nil {
		return err
	}
	a.events, err = intake.New(intake.Config{
		Bus: c.Bus, Rows: c.Rows, Open: tokens.Open, PublishTimeout: l.PublishTimeout, StoreTimeout: l.StoreTimeout,
		AtOnce: l.Intakes, Faults: failed, Registerer: c.Registerer, Now: c.Now,
	})
	if err != nil {
		return err
	}
	a.data = listenerdata.New(listenerdata.Config{Rows: c.Rows, Events: c.Events, Faults: failed, Now: c.Now})
	a.edge, err = edge.New(edge.Config{
		Verifier: c.Verifier, Rates: edge.Rates{Listener: l.ListenerRate, Service: l.ServiceRate, Burst: l.Burst},
		Timeout: l.Request, Faults: failed, Registerer: c.Registerer, Log: c.Log, Now: c.Now,
	}, a.routes())
	return err
}

func sealers(secret []byte) (*cardtoken.Tokens, *pagetoken.Sealer, error) {
	if secret == nil {
		secret = make([]byte, cardtoken.MinSecret)
		_, _ = rand.Read(secret) // never fails
	}
	tokens, err := cardtoken.New(secret)
	if err != nil {
		return nil, nil, err
	}
	pages, err := pagetoken.New(secret)
	return tokens, pages, err
}

func (a *API) routes() []edge.Route {
	return []edge.Route{
		{Method: http.MethodGet, Path: "/v1/home", May: edge.Listeners, Handle: a.homes.Home, Full: a.homes.Full},
		{Method: http.MethodGet, Path: "/v1/home/shelves/{shelf}", May: edge.Listeners, Handle: a.homes.HomeShelf, Full: a.homes.Full},
		{Method: http.MethodGet, Path: "/v1/users/{user}/shelves/{shelf}", May: edge.Having(identity.Viewer), Handle: a.homes.UserShelf},
		{Method: http.MethodDelete, Path: "/v1/users/{user}", May: edge.ListenersOr(identity.Admin), Handle: a.data.Erase},
		{Method: http.MethodGet, Path: "/v1/users/{user}:export", May: edge.ListenersOr(identity.Admin), Handle: a.data.Export},
		{Method: http.MethodPost, Path: "/v1/events", May: edge.ListenersOr(identity.Importer), Handle: a.events.Write},
	}
}

// ServeHTTP answers anything, unknown addresses too.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.edge.ServeHTTP(w, r) }

// Close ends the background work and waits for it. Requests that are still running are answered, without the
// shelves of markets that were not read before.
func (a *API) Close() {
	a.homes.Close()
	if a.demand != nil {
		a.demand.Close()
	}
	a.edge.Close()
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
