package local

import (
	"context"
	"math"
	"time"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/local/outbox"
	"homefeed/pipeline/trends"
)

// windows counts the plays of all listeners for the markets' triggers.
type windows struct {
	aggregator *trends.Aggregator
	outbox     *outbox.Outbox
	metrics    *metrics
	reported   trends.Stats
}

func (w *windows) decide(ctx context.Context, m message) (int64, error) {
	if m.batch != nil {
		for i := range m.batch.events {
			w.aggregator.Add(m.batch.events[i])
		}
		w.report()
	}
	var ready []bus.Message
	for _, t := range w.aggregator.Advance(time.UnixMilli(m.watermark)) {
		message, err := pipeline.TriggerMessage(t)
		if err != nil {
			return 0, err
		}
		ready = append(ready, message)
	}
	if len(ready) > 0 {
		if err := w.outbox.Send(ctx, outbox.Parcel{Messages: ready}); err != nil {
			return 0, err
		}
	}
	if c := m.checkpoint; c != nil {
		if c.keep {
			began := time.Now()
			state, err := w.aggregator.Encode()
			c.addTrends(state, err)
			c.spent.Add(int64(time.Since(began)))
		}
		if err := w.outbox.Send(ctx, outbox.Parcel{Then: c.arrive}); err != nil {
			return 0, err
		}
	}
	next, ok := w.aggregator.Next()
	if !ok {
		return math.MaxInt64, nil
	}
	return next.UnixMilli(), nil
}

func (w *windows) report() {
	now, before := w.aggregator.Stats(), w.reported
	w.metrics.leftOut("repeated", now.Repeated-before.Repeated)
	w.metrics.leftOut("late", now.Late-before.Late)
	w.metrics.leftOut("unremembered", now.Unremembered-before.Unremembered)
	w.metrics.leftOut("uncounted", now.Uncounted-before.Uncounted)
	w.reported = now
}
