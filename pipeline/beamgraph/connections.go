package beamgraph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"homefeed/pipeline"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
)

// Source is where the graph's own source reads, and where Publish acknowledges. The adapters of package source
// are Sources.
type Source interface {
	// Pull returns what waits, at most most messages, without waiting for more.
	Pull(ctx context.Context, most int) (source.Batch, error)
	// Ack lets messages go for good.
	Ack(ctx context.Context, receipts []source.Receipt) error
}

// Connections are what the DoFns of one job talk to. They are shared by every bundle, so all are safe for
// concurrent use.
type Connections struct {
	Source Source
	// Recent reads the same events once more, for trends only, beginning a window before where the last job
	// ended: windows are too long to hold Source back for. It is nil where the bus can't; then trends count what
	// Admit passes on, and begin empty when an in-memory runner's job starts again.
	Recent    Source
	Recorder  pipeline.Recorder
	Publisher bus.Publisher
	// Now is the clock; nil means the wall's.
	Now func() time.Time
	// Log hears of what is tried again. Nil: nobody does.
	Log *slog.Logger

	// live is true where every DoFn of the job is in this process.
	live   bool
	nearby nearby
	// counted are the plays that trends have.
	counted memory
	// failing is since when the source has been failing, in Unix ms; 0: it does not.
	failing atomic.Int64
	// asked is when the source was last asked for messages, in Unix ms; 0: never.
	asked atomic.Int64
	// lastBatch and lastRecent are when Source and Recent last had messages, in Unix ms.
	lastBatch, lastRecent atomic.Int64
}

// LastRead is when the job last asked the source for messages; the zero time before the first time. A job that
// does not ask for long is stuck.
func (c *Connections) LastRead() time.Time {
	if ms := c.asked.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

func (c *Connections) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Connections) warn(ctx context.Context, message string, err error) {
	if c.Log != nil {
		c.Log.WarnContext(ctx, message, "error", err)
	}
}

// Endpoints tell a DoFn where its Connections are. They travel inside the DoFn, so that a worker in another
// process finds the same world. Only Job matters where the connections are provided.
type Endpoints struct {
	Job           string // the name under which Provide or the Opener knows the job
	Project       string // of Pub/Sub; empty where the runner reads and publishes by itself
	Subscriptions string // the prefix of the event topics' subscriptions
	SongsPlayed   string // address of the songs-played service
	Plaintext     bool   // call it without TLS
}

// Opener opens the Connections of a job in a worker process. close ends them.
type Opener func(ctx context.Context, e Endpoints) (c *Connections, close func() error, err error)

// registry is the one global of this package. Beam makes DoFns out of bytes, so a live connection can't be a
// field of theirs: they look it up by their job's name. A program hands in connections with Provide, in the
// process that runs the job (Prism), or the way to open them with OpenWith, in worker processes (Flink,
// Dataflow).
var registry = struct {
	sync.Mutex
	jobs map[string]*entry
	open Opener
}{jobs: map[string]*entry{}}

type entry struct {
	conns *Connections
	users int          // DoFns that hold it, when it was opened for them
	close func() error // nil when it was provided
}

// Provide makes c the connections of a job in this process until withdraw is called. A name that is taken is an
// error: two jobs must not share receipts.
func Provide(job string, c *Connections) (withdraw func(), err error) {
	registry.Lock()
	defer registry.Unlock()
	if _, dup := registry.jobs[job]; dup || job == "" {
		return nil, fmt.Errorf("job %q: want a name that no running job has", job)
	}
	c.live = true
	registry.jobs[job] = &entry{conns: c}
	return func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.jobs, job)
	}, nil
}

// OpenWith says how a worker process opens the connections of a job that nobody provided.
func OpenWith(o Opener) {
	registry.Lock()
	defer registry.Unlock()
	registry.open = o
}

// connect is for Setup; release is for Teardown.
func connect(ctx context.Context, e Endpoints) (c *Connections, release func() error, err error) {
	registry.Lock()
	defer registry.Unlock()
	if known, ok := registry.jobs[e.Job]; ok {
		known.users++
		return known.conns, func() error { return disconnect(e.Job, known) }, nil
	}
	if registry.open == nil {
		return nil, nil, fmt.Errorf("job %q: no connections were provided, and no way to open them", e.Job)
	}
	c, closeAll, err := registry.open(ctx, e)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the connections of job %q: %w", e.Job, err)
	}
	opened := &entry{conns: c, users: 1, close: closeAll}
	registry.jobs[e.Job] = opened
	return c, func() error { return disconnect(e.Job, opened) }, nil
}

func disconnect(job string, en *entry) error {
	registry.Lock()
	defer registry.Unlock()
	en.users--
	if en.users > 0 || en.close == nil {
		return nil
	}
	if registry.jobs[job] == en {
		delete(registry.jobs, job)
	}
	return en.close()
}

// wired is what every DoFn with connections has in common.
type wired struct {
	conns   *Connections
	release func() error
}

var errNotSetUp = errors.New("the DoFn was not set up")

func (w *wired) connect(ctx context.Context, e Endpoints) (err error) {
	w.conns, w.release, err = connect(ctx, e)
	return err
}

func (w *wired) disconnect() error {
	if w.release == nil {
		return nil
	}
	release := w.release
	w.release = nil
	return release()
}
