// Package refresh turns triggers into rows: Trigger → guardrails → the shelves' functions → one write. Whoever
// asks, the pipeline, a batch job or a request that found nothing, the way is this one.
//
// Work is at least once and idempotent: a cell's timestamp is the time of the newest event it covers, so doing a
// trigger twice writes the same cell twice. Triggers of one listener are never worked on at once by one Runner.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/refresh/guardrail"
	"homefeed/shelves/refresh/plan"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// Rows is what a Runner needs of a store.Store.
type Rows interface {
	Write(ctx context.Context, key store.Key, cells ...store.Cell) error
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
}

// Config is what a Runner needs. Fields marked "needed" have no default.
type Config struct {
	Shelves []*shelf.Shelf // needed
	Store   Rows           // needed
	// Plays gives the songs-played client of one listener, answering as of asOf. Needed.
	Plays   func(user string, asOf time.Time) shelf.SongsPlayed
	Vectors shelf.Word2Vec // needed
	// Catalog should remember answers, as a catalog.Cache does: listeners' refreshes ask for the same tracks. Needed.
	Catalog shelf.Catalog
	// DeadLetters takes triggers that Run gives up on. Needed by Run.
	DeadLetters bus.Publisher

	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: metrics are not registered
	Now        func() time.Time      // for metrics only; nil: time.Now

	Concurrency int // how many listeners are worked on at once; 0 means 16
	// Yield, if set, says that somebody needs the machine more: while it does, Run works on one listener at a time. The
	// pipeline does so behind a backlog, when what is made now would have to be made again.
	Yield func() bool
	// MaxHeld is how many triggers are held at most, queued and running; 0 means 16,384, about 25 MB. What is held
	// is merged by listener, so holding much is what makes a backlog cheap.
	MaxHeld       int
	StoreTimeout  time.Duration // of one read or write; 0 means 5 s
	StorePatience time.Duration // for how long a trigger waits for a store that is away, before it is put back; 0 means 1 min
	RetryDelay    time.Duration // before the second attempt, four times as long before each further one; 0 means 1 s
	ExtendEvery   time.Duration // how often leases are prolonged; well under the bus's lease; 0 means 5 s
	DrainTimeout  time.Duration // for how long running work may go on when Run is told to stop; 0 means 10 s
}

// Runner turns triggers into rows. It is safe for concurrent use.
type Runner struct {
	cfg      Config
	shelves  map[string]*guarded
	log      *slog.Logger
	now      func() time.Time
	metrics  *metrics
	attempts *attempts
}

// guarded is a shelf with its guardrails around it.
type guarded struct {
	*shelf.Shelf
	fill      guardrail.Fill
	abandoned *guardrail.Abandoned
}

// New makes a Runner. The error names what is missing or wrong in cfg.
func New(cfg Config) (*Runner, error) {
	switch {
	case len(cfg.Shelves) == 0:
		return nil, errors.New("refresh: Shelves: want at least one")
	case cfg.Store == nil:
		return nil, errors.New("refresh: Store: want a store")
	case cfg.Plays == nil || cfg.Vectors == nil || cfg.Catalog == nil:
		return nil, errors.New("refresh: want all of Plays, Vectors and Catalog")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Yield == nil {
		cfg.Yield = func() bool { return false }
	}
	setDefault(&cfg.Concurrency, 16)
	setDefault(&cfg.MaxHeld, 16<<10)
	setDefault(&cfg.StoreTimeout, 5*time.Second)
	setDefault(&cfg.StorePatience, time.Minute)
	setDefault(&cfg.RetryDelay, time.Second)
	setDefault(&cfg.ExtendEvery, 5*time.Second)
	setDefault(&cfg.DrainTimeout, 10*time.Second)
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	r := &Runner{
		cfg: cfg, shelves: map[string]*guarded{}, log: cfg.Logger, now: cfg.Now,
		metrics: m, attempts: newAttempts(10 * cfg.MaxHeld),
	}
	for _, s := range cfg.Shelves {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("refresh: Shelves: %w", err)
		}
		if r.shelves[s.Name] != nil {
			return nil, fmt.Errorf("refresh: Shelves: %q is listed twice", s.Name)
		}
		r.shelves[s.Name] = r.guard(s)
	}
	return r, nil
}

func (r *Runner) guard(s *shelf.Shelf) *guarded {
	g := &guarded{Shelf: s, abandoned: &guardrail.Abandoned{}}
	dropped := r.metrics.dropped.WithLabelValues(s.Name)
	g.fill = guardrail.Wrap(s, guardrail.Options{
		Abandoned: g.abandoned,
		Dropped: func(err error) {
			dropped.Inc()
			r.log.Warn("card dropped", "shelf", s.Name, "err", err)
		},
	})
	return g
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Result is what became of a trigger.
type Result struct {
	Key     store.Key
	Cells   []store.Cell  // what was made, by shelf
	Shelves []ShelfResult // one a due shelf, by shelf
}

// ShelfResult is what became of one due shelf.
type ShelfResult struct {
	Shelf   string
	Outcome Outcome
	AsOf    time.Time // of the cell; later than the trigger's when the stored row was newer
	Cards   int
	Took    time.Duration
	Err     error // when the outcome is a failure, or TooFew
}

// Outcome is how making a shelf ended.
type Outcome string

// The outcomes. Those of a failure are worth another attempt.
const (
	Made       Outcome = "made"       // the cell is written
	TooFew     Outcome = "too_few"    // fewer cards than MinCards: the older row stays
	Unknown    Outcome = "unknown"    // no shelf of this runner has the name
	Erased     Outcome = "erased"     // the row was deleted after the as-of time
	Superseded Outcome = "superseded" // of a market: the stored row is newer
	Failed     Outcome = "error"      // a failure
	TimedOut   Outcome = "timeout"    // a failure: no answer within Guard.Timeout
	Panicked   Outcome = "panic"      // a failure
)

// Failure reports whether the shelf should be tried again.
func (o Outcome) Failure() bool { return o == Failed || o == TimedOut || o == Panicked }

// Refresh makes the shelves due and stores them in one write. A shelf that fails does not hold up the others:
// the Result says so. The error is for what concerns them all: plan.ErrBadTrigger, or the store was away; then
// nothing was written, doing it again is safe, and Result.Cells still has what was made.
//
// Who asks on demand sets Last.Time to that of the newest event recorded, never to the present: a row as of a
// later time than its events would hide the row that the next event makes.
func (r *Runner) Refresh(ctx context.Context, t trigger.Trigger) (Result, error) {
	return r.refresh(ctx, plan.Of(t))
}
