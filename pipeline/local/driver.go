// Package local drives the pipeline's stages on one machine, over a bus.Log: read, decode, record, decide by
// listener, publish triggers.
//
//	            ┌ decode + record ┐                 ┌ shard of listeners ┐
//	reader ──▶──┼ decode + record ┼──▶ sequencer ──▶┼ shard of listeners ┼──▶ outbox ──▶ triggers
//	            └ decode + record ┘   (log order,   └ trends             ┘
//	                                   watermark)
//
// Batches are recorded side by side and passed on in the order of the log. Each listener belongs to one shard, and
// a shard is one goroutine, so deciding needs no locks.
//
// # Time
//
// The policy runs on event time. The watermark is the newest event time passed on; it follows the clock only when
// the log says that nothing is waiting and everything read has been passed on. A refresh fires when the watermark
// reaches its due time, and always before a later event of its listener. So a log in order of time makes the same
// triggers however it is cut into batches, and however fast it is read. An event ahead of the clock doesn't move
// the watermark ahead of it.
//
// # What survives
//
// The log's floor moves only past events that are recorded and whose every refresh is published. Beside it, a file
// keeps what has been decided but not fired, what the policy remembers and the trends' windows, as of one position.
// After a kill the driver starts from the floor, skips what is in the file, and so publishes again at most what it
// had published since the file was written. Without the file (none was asked for, or it is damaged) everything
// behind the floor is decided again, which repeats triggers and loses none; trends then start empty.
//
// A Recorder or Publisher that is away stops the flow, and it goes on where it was: what is in flight is bounded by
// Config, and memory with it.
package local

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
)

// Config is what a Driver needs. Log, Publisher, Recorder and Policy must be set.
type Config struct {
	// Log has the event topics. The driver alone reads it, and doesn't close it. Its methods are called from
	// several goroutines.
	Log       bus.Log
	Publisher bus.Publisher
	// Recorder must not keep the slice that it is called with.
	Recorder pipeline.Recorder
	Policy   *refreshpolicy.Policy
	// Trends says which windows to count plays in; nil: none.
	Trends *trends.Config
	// Dir is where the driver keeps its file; it is made if missing. Empty: no file is kept.
	Dir string
	// Clock is what the watermark follows when nothing is waiting, and what events are validated against; nil
	// means the system's.
	Clock Clock

	// Shards is how many goroutines decide; 0 means one a core.
	Shards int
	// Recording is how many batches are decoded and recorded at a time; 0 means 4.
	Recording int
	// MaxBatch is the most events of a batch; 0 means 2048. At most MaxBatch × (2 × Recording + 2) are in flight.
	MaxBatch int
	// CheckpointEvery is the least time between two moves of the floor; 0 means 1 s. One that costs much, because
	// there are many listeners, is followed by a pause of 50 times as long, at most a minute.
	CheckpointEvery time.Duration
	// MergeAfter is how late a trigger must be to be held back for up to a second and merged with those of its listener
	// that follow, as behind a backlog. It covers the same events. 0: none is.
	MergeAfter time.Duration
	// DrainTimeout is how long Run may take to finish what it has read when it is told to stop; 0 means 10 s.
	DrainTimeout time.Duration

	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil leaves the metrics unregistered
}

// Driver runs the pipeline once.
type Driver struct {
	cfg      Config
	progress *progress
	metrics  *metrics
}

// New checks the configuration; the error names the field that is wrong.
func New(cfg Config) (*Driver, error) {
	switch {
	case cfg.Log == nil:
		return nil, errors.New("local pipeline: Log: want the log of the event topics, got nil")
	case cfg.Publisher == nil:
		return nil, errors.New("local pipeline: Publisher: want one for the triggers, got nil")
	case cfg.Recorder == nil:
		return nil, errors.New("local pipeline: Recorder: want the songs-played service, got nil")
	case cfg.Policy == nil:
		return nil, errors.New("local pipeline: Policy: want one of refreshpolicy.New, got nil")
	case cfg.Shards < 0 || cfg.Recording < 0 || cfg.MaxBatch < 0 || cfg.CheckpointEvery < 0 || cfg.MergeAfter < 0 || cfg.DrainTimeout < 0:
		return nil, errors.New("local pipeline: Shards, Recording, MaxBatch, CheckpointEvery, MergeAfter, DrainTimeout: want 0 or more")
	}
	if cfg.Trends != nil {
		filled := cfg.Trends.WithDefaults()
		if err := filled.Validate(); err != nil {
			return nil, fmt.Errorf("local pipeline: %w", err)
		}
		cfg.Trends = &filled
	}
	setDefault(&cfg.Shards, runtime.GOMAXPROCS(0))
	setDefault(&cfg.Recording, 4)
	setDefault(&cfg.MaxBatch, 2048)
	setDefault(&cfg.CheckpointEvery, time.Second)
	setDefault(&cfg.DrainTimeout, 10*time.Second)
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &progress{}
	return &Driver{cfg: cfg, progress: p, metrics: newMetrics(cfg.Registerer, p, cfg.Clock)}, nil
}

// Behind reports whether Run works on a backlog: there was more to read than a batch, and it has not read the end of
// the log since. Whoever would use what Run has not decided yet can wait.
func (d *Driver) Behind() bool { return !d.progress.caughtUp.Load() }

func setDefault[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Clock is the time that the watermark follows when nothing is waiting.
type Clock interface {
	Now() time.Time
	// Timer sends once on fired when d has passed. stop releases it; it may then fire or not.
	Timer(d time.Duration) (fired <-chan time.Time, stop func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Timer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
