// Package homeapi answers for Home and for single shelves out of the row store. Home is made by joining bytes that the
// refresh runner encoded; a row that is missing, old or out of reach means another rung of the fallback ladder, never
// an error.
package homeapi

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/admission"
	"homefeed/api/apierror"
	"homefeed/api/cardtoken"
	"homefeed/api/compress"
	"homefeed/api/edge"
	"homefeed/api/faults"
	"homefeed/api/home"
	"homefeed/api/marketcache"
	"homefeed/api/ondemand"
	"homefeed/api/pagetoken"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// Rows is what Home is made of. With an error Read may give the row that was last seen. Nobody changes a row that it
// gave.
type Rows interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
}

// Config is what an API is made of. All but Demand and Registerer is needed.
type Config struct {
	Rows       Rows
	Shelves    []*shelf.Shelf
	Demand     *ondemand.Limiter // nil: nobody's shelves are made on demand
	Tokens     *cardtoken.Tokens
	Pages      *pagetoken.Sealer
	Faults     *faults.Faults
	Limits     Limits
	Registerer prometheus.Registerer // nil: not registered
	Now        func() time.Time
}

// Limits are those of api.Limits by the same names.
type Limits struct {
	StoreTimeout time.Duration
	MarketAge    time.Duration
	HomeAge      time.Duration
	AnswerBytes  int64
	AtOnce       int // of api.Limits.Homes
}

// API answers the routes of Home. Set its placements before it does.
type API struct {
	rows     Rows
	limits   Limits
	faults   *faults.Faults
	now      func() time.Time
	metrics  *metrics
	shelves  []*shelf.Shelf
	perShelf map[string]shelfMetrics
	config   atomic.Pointer[home.Config]
	markets  *marketcache.Cache
	demand   *ondemand.Limiter
	answers  *answers
	tokens   *cardtoken.Tokens
	pages    *pagetoken.Sealer
	// gate is for those who read and make a Home. One in memory needs no place: it costs less than it takes to refuse it.
	// Nor does sending one, which a slow phone draws out.
	gate       *admission.Gate
	workspaces sync.Pool
	bodies     compress.Bodies
	peek       func(store.Key, time.Time) (store.Row, bool) // what Rows has in memory then; nil: it has none

	// The values of headers, shared by all responses.
	cacheControl, vary []string
	kinds              map[bool][]string   // by whether it is protobuf
	encodings          map[string][]string // by name; of a body as it is: nil
}

// New makes an API. It fails if its metrics' names are taken.
func New(c Config) (*API, error) {
	a := &API{
		rows: c.Rows, limits: c.Limits, faults: c.Faults, now: c.Now, shelves: c.Shelves, demand: c.Demand,
		tokens: c.Tokens, pages: c.Pages, perShelf: map[string]shelfMetrics{},
	}
	var err error
	if a.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, err
	}
	a.gate = admission.New(a.limits.AtOnce,
		apierror.Unavailable("OVERLOADED", "as many Homes are being made as can be", time.Second, nil), a.metrics.refused)
	for _, s := range c.Shelves {
		a.perShelf[s.Name] = a.metrics.shelf(s.Name)
	}
	if a.answers, err = newAnswers(c.Limits.AnswerBytes); err != nil {
		return nil, err
	}
	a.cacheControl = []string{fmt.Sprintf("private, max-age=%d, stale-while-revalidate=%d, stale-if-error=%d",
		int64(a.limits.HomeAge/time.Second), whileRevalidate, ifError)}
	a.vary = []string{"Accept, Accept-Encoding, Authorization"}
	a.kinds = map[bool][]string{false: {edge.TypeJSON}, true: {edge.TypeProtobuf}}
	a.encodings = map[string][]string{"gzip": {"gzip"}, "br": {"br"}}
	if cache, ok := c.Rows.(interface {
		Peek(store.Key, time.Time) (store.Row, bool)
	}); ok {
		a.peek = cache.Peek
	}
	a.markets = marketcache.New(a.limits.MarketAge, a.now, a.readMarket)
	return a, nil
}

// For how many seconds after HomeAge a client may show the Home that it has while it fetches another, and for how
// many when it can't: a day, as the phone may be in a tunnel.
const (
	whileRevalidate = 60
	ifError         = 24 * 3600
)

// Show makes c what Home shows from the next request on; requests under way keep what they began with.
func (a *API) Show(c *home.Config) { a.config.Store(c) }

// Shown is what Home shows.
func (a *API) Shown() *home.Config { return a.config.Load() }

// Close ends the background work and waits for it. Requests that are still running are answered, without the shelves
// of markets that were not read before.
func (a *API) Close() {
	a.markets.Close()
	a.answers.kept.StopAllGoroutines()
}

// brokenCell reports a cell whose bytes are not a shelf's: somebody wrote what this program can't read. It is logged
// once, since every Home of the row would say it again.
func (a *API) brokenCell(shelf string, err error) {
	a.faults.Degraded("cell", fmt.Errorf("shelf %s: %w", shelf, err))
}
