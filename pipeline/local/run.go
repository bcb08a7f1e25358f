package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"homefeed/pipeline/event"
	"homefeed/pipeline/local/listeners"
	"homefeed/pipeline/local/outbox"
	"homefeed/pipeline/local/snapshot"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

// callTimeout is the deadline of each call to the log.
const callTimeout = 10 * time.Second

// run is one Run of a Driver: what its goroutines share.
type run struct {
	*progress
	cfg     Config
	metrics *metrics

	free    chan *batch // batches that nobody uses
	toWork  chan *batch
	ordered chan *batch // in the order of the log

	wake  chan struct{}
	armed atomic.Int64 // ms: when the sequencer wakes up by itself; math.MaxInt64: never

	shards    []*shard
	windows   *windows // nil without trends
	consumers []*consumer
	triggers  *outbox.Outbox
	letters   *outbox.Outbox

	checkpoints  chan *checkpoint
	checkpointed chan checkpointDone
	restored     uint64 // everything up to this position is in the restored state
}

// Run drives the pipeline until ctx ends; then it finishes what it has read, at most for Config.DrainTimeout, and
// returns nil. An error means that it can't go on: the file can't be written or read, or draining took too long.
// Whatever the end, a new Driver over the same log and directory goes on where this one was. Call it once.
func (d *Driver) Run(ctx context.Context) error {
	r := d.newRun()
	watermark, err := r.restore()
	if err != nil {
		return fmt.Errorf("local pipeline: restoring: %w", err)
	}
	// Reading ends with ctx, the rest only when what was read is done with.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	drained := make(chan struct{})
	defer close(drained)
	go func() {
		select {
		case <-ctx.Done():
			t := time.NewTimer(d.cfg.DrainTimeout)
			defer t.Stop()
			select {
			case <-t.C:
				stop(fmt.Errorf("what was read is not finished after %v: %w", d.cfg.DrainTimeout, context.DeadlineExceeded))
			case <-drained:
			}
		case <-drained:
		}
	}()
	if err := r.start(ctx, work, watermark); err != nil {
		return fmt.Errorf("local pipeline: %w", err)
	}
	return nil
}

func (d *Driver) newRun() *run {
	batches := 2*d.cfg.Recording + 2
	r := &run{
		progress: d.progress, cfg: d.cfg, metrics: d.metrics,
		free: make(chan *batch, batches), toWork: make(chan *batch, batches), ordered: make(chan *batch, batches),
		wake:        make(chan struct{}, 1),
		checkpoints: make(chan *checkpoint, 1), checkpointed: make(chan checkpointDone, 1),
	}
	r.floor.Store(d.cfg.Log.Floor())
	for range batches {
		r.free <- newBatch(d.cfg.Shards, r.free)
	}
	r.triggers, r.letters = r.newOutbox(trigger.Topic), r.newOutbox(event.DeadLetterTopic)
	for i := range d.cfg.Shards {
		s := &shard{number: i, listeners: listeners.New(d.cfg.Policy), outbox: r.triggers, metrics: d.metrics,
			late: late{after: d.cfg.MergeAfter, clock: d.cfg.Clock}}
		r.shards = append(r.shards, s)
		r.consumers = append(r.consumers, &consumer{in: make(chan message, batches), decide: s.decide})
	}
	if d.cfg.Trends != nil {
		aggregator, _ := trends.New(*d.cfg.Trends) // New has validated it
		r.windows = &windows{aggregator: aggregator, outbox: r.triggers, metrics: d.metrics}
		r.consumers = append(r.consumers, &consumer{in: make(chan message, batches), decide: r.windows.decide})
	}
	return r
}

func (r *run) newOutbox(topic string) *outbox.Outbox {
	return outbox.New(topic, r.cfg.Publisher, outbox.Observer{
		Retrying: func(topic string, err error, wait time.Duration) {
			r.metrics.publishRetries.Inc()
			r.cfg.Logger.Warn("messages are not published yet", "topic", topic, "retry_in", wait, "error", err)
		},
		Published: func(topic string, n int, began time.Time) {
			r.metrics.published.WithLabelValues(topic).Add(float64(n))
			r.metrics.took("publish", began)
		},
	})
}

// start runs the goroutines until the last one has ended. Each closes what it alone sends to when it ends, so that
// the end of reading runs through to the outboxes.
func (r *run) start(ctx, work context.Context, watermark int64) error {
	group, work := errgroup.WithContext(work)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	defer context.AfterFunc(work, stopReading)()

	group.Go(func() error { r.read(reading); return nil })
	for range r.cfg.Recording {
		group.Go(func() error { return r.work(work, r.toWork) })
	}
	group.Go(func() error {
		err := r.sequence(work, watermark)
		for _, c := range r.consumers {
			close(c.in)
		}
		r.letters.Close()
		close(r.checkpoints)
		return err
	})
	var consuming sync.WaitGroup
	for _, c := range r.consumers {
		consuming.Add(1)
		group.Go(func() error {
			defer consuming.Done()
			return r.consume(work, c)
		})
	}
	group.Go(func() error {
		consuming.Wait()
		r.triggers.Close()
		return nil
	})
	for _, o := range []*outbox.Outbox{r.triggers, r.letters} {
		group.Go(func() error { return o.Run(work) })
	}
	group.Go(func() error { return r.keepCheckpoints(work) })
	return group.Wait()
}

func (r *run) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// restore puts back the last snapshot and returns its watermark. A file that can't be used is left aside: then
// everything behind the floor is decided again.
func (r *run) restore() (watermark int64, err error) {
	if r.cfg.Dir == "" {
		return 0, nil
	}
	if err := snapshot.Prepare(r.cfg.Dir); err != nil {
		return 0, err
	}
	floor := r.floor.Load()
	kept, err := snapshot.Read(r.cfg.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err == nil && (floor == 0 || floor < kept.FloorBefore):
		// The log is another one than that of the file: its positions mean something else.
		err = fmt.Errorf("the log's floor is %d, and was %d when it was written", floor, kept.FloorBefore)
	case err == nil:
		err = kept.EachListener(func(user string, state []byte) error {
			return r.shards[shardOf(user, len(r.shards))].listeners.Restore(user, state)
		})
	}
	if err != nil {
		r.cfg.Logger.Warn("the snapshot is of no use, deciding everything behind the floor again",
			"dir", r.cfg.Dir, "floor", floor, "error", err)
		for _, s := range r.shards {
			s.listeners = listeners.New(r.cfg.Policy)
		}
		return 0, nil
	}
	if state := bytes.Join(kept.Trends, nil); r.windows != nil && len(state) > 0 {
		if err := r.windows.aggregator.Decode(state); err != nil {
			r.cfg.Logger.Warn("trends start empty", "error", err)
		}
		r.windows.reported = r.windows.aggregator.Stats()
	}
	r.restored = kept.Pos
	r.cfg.Logger.Info("restored a snapshot", "position", kept.Pos, "floor", floor)
	return kept.Watermark, nil
}
