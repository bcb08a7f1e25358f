package local

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"homefeed/pipeline/bus"
)

// read hands the log's entries to the workers, and in order to the sequencer, until ctx ends. It waits for a free
// batch before it reads, so the rest of the pipeline sets its pace.
func (r *run) read(ctx context.Context) {
	defer close(r.toWork)
	defer close(r.ordered)
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 50*time.Millisecond, 5*time.Second
	failed := func(doing string, err error) {
		if ctx.Err() != nil {
			return
		}
		wait := pauses.NextBackOff()
		r.cfg.Logger.Warn("the log can't be read", "doing", doing, "retry_in", wait, "error", err)
		pause(ctx, wait)
	}
	for ctx.Err() == nil {
		if !r.caughtUp.Load() {
			if err := r.catchUp(ctx); err != nil {
				failed("counting", err)
				continue
			}
		}
		var b *batch
		select {
		case b = <-r.free:
		case <-ctx.Done():
			return
		}
		entries, err := r.cfg.Log.Read(ctx, r.cfg.MaxBatch)
		if err != nil {
			r.free <- b
			failed("reading", err)
			continue
		}
		pauses.Reset()
		r.metrics.read.Add(float64(len(entries)))
		entries = r.unknown(entries)
		if len(entries) == 0 {
			r.free <- b
			continue
		}
		r.outstanding.Add(1)
		if len(entries) > r.cfg.MaxBatch/2 {
			r.caughtUp.Store(false) // a backlog: find out when it has an end
		}
		b.entries = entries
		r.metrics.batch.Observe(float64(len(entries)))
		r.ordered <- b // these never wait: there is room for every batch
		r.toWork <- b
	}
}

// catchUp notes when the log has been read to its end.
//
// The sequencer asks the log itself before it follows the clock; this spares the log the question during a backlog.
func (r *run) catchUp(ctx context.Context) error {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	waiting, err := r.cfg.Log.Waiting(callCtx)
	if err != nil {
		return err
	}
	if waiting == 0 {
		r.caughtUp.Store(true)
		r.wakeUp()
	}
	return nil
}

// unknown leaves out the entries that the restored state has in it.
func (r *run) unknown(entries []bus.Entry) []bus.Entry {
	for len(entries) > 0 && entries[0].Pos <= r.restored {
		entries = entries[1:]
	}
	return entries
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
