package refresh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/refresh/plan"
)

// busTimeout is the deadline of one ack, nack, extension or publish.
const busTimeout = 10 * time.Second

// handle does all deliveries of one key and settles each: acked, put back, or dead-lettered. When ctx is cut
// off in between it settles none: their leases bring them back.
func (r *Runner) handle(ctx context.Context, sub bus.Subscription, items []item) {
	if items[0].err != nil {
		for _, it := range items {
			r.giveUp(ctx, sub, it, 1, "undecodable", it.err)
		}
		return
	}
	ts := make([]trigger.Trigger, len(items))
	for i, it := range items {
		ts[i] = it.t
	}
	r.metrics.coalesced.Add(float64(len(ts) - 1))
	res, err := r.refreshPatiently(ctx, plan.Of(ts...))
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, plan.ErrBadTrigger):
		for _, it := range items {
			r.giveUp(ctx, sub, it, 1, "bad_trigger", err)
		}
	case err != nil:
		r.log.Error("row store is away: triggers are put back", "triggers", len(items), "err", err)
		r.putBack(ctx, sub, "put_back", 16*r.cfg.RetryDelay, deliveries(items)...)
	default:
		r.settle(ctx, sub, items, res)
	}
}

// refreshPatiently tries again while the store is away, for up to StorePatience.
func (r *Runner) refreshPatiently(ctx context.Context, p plan.Plan) (Result, error) {
	return backoff.Retry(ctx, func() (Result, error) {
		res, err := r.refresh(ctx, p)
		if errors.Is(err, plan.ErrBadTrigger) {
			return res, backoff.Permanent(err)
		}
		return res, err
	}, backoff.WithMaxElapsedTime(r.cfg.StorePatience), backoff.WithBackOff(patient()),
		backoff.WithNotify(func(err error, wait time.Duration) {
			r.log.Warn("row store is away: trying again", "in", wait, "err", err)
		}))
}

// settle acks the deliveries whose shelves are all done and sends the others round again.
func (r *Runner) settle(ctx context.Context, sub bus.Subscription, items []item, res Result) {
	visible := r.now()
	byShelf := make(map[string]*ShelfResult, len(res.Shelves))
	for i := range res.Shelves {
		byShelf[res.Shelves[i].Shelf] = &res.Shelves[i]
	}
	var done []item
	for _, it := range items {
		var failed *ShelfResult
		for _, d := range it.t.Due {
			if sr := byShelf[d.Shelf]; sr.Outcome.Failure() {
				failed = sr
			}
		}
		if failed == nil {
			done = append(done, it)
			r.observe(it.t, byShelf, visible)
			continue
		}
		n := r.attempts.failed(it)
		if n >= bus.MaxAttempts {
			r.giveUp(ctx, sub, it, n, string(failed.Outcome),
				fmt.Errorf("shelf %s failed in attempt %d: %s: %w", failed.Shelf, n, failed.Outcome, failed.Err))
			continue
		}
		r.putBack(ctx, sub, "retried", r.cfg.RetryDelay<<(2*(n-1)), it.d)
	}
	r.ack(ctx, sub, "done", done...)
}

// observe records how long after its events a trigger's rows were there.
func (r *Runner) observe(t trigger.Trigger, byShelf map[string]*ShelfResult, visible time.Time) {
	for _, d := range t.Due {
		if byShelf[d.Shelf].Outcome != Made {
			continue
		}
		if d.First.Time.Unix() > 0 { // an absent time is 1970 on the wire
			r.metrics.visible.WithLabelValues(d.Shelf).Observe(max(0, visible.Sub(d.First.Time).Seconds()))
		}
		if t.FireTime.Unix() > 0 {
			r.metrics.beyond.WithLabelValues(d.Shelf).Observe(max(0, visible.Sub(t.FireTime).Seconds()))
		}
	}
}

// giveUp moves a delivery to the dead-letter topic. It is acked only once it is there; until then it comes again.
func (r *Runner) giveUp(ctx context.Context, sub bus.Subscription, it item, tries int, reason string, why error) {
	letter, err := pipeline.DeadLetter(it.d.Topic, it.d.Message, tries, why)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, busTimeout)
		defer cancel()
		err = r.cfg.DeadLetters.Publish(ctx, trigger.DeadLetterTopic, letter)
	}
	if err != nil {
		r.busError("publish", err)
		r.putBack(ctx, sub, "retried", 16*r.cfg.RetryDelay, it.d)
		return
	}
	r.metrics.deadLetters.WithLabelValues(reason).Inc()
	r.log.Error("trigger given up", "trigger", it.t.ID, "reason", reason, "err", why)
	r.ack(ctx, sub, "dead_lettered", it)
}

func (r *Runner) ack(ctx context.Context, sub bus.Subscription, outcome string, items ...item) {
	if len(items) == 0 {
		return
	}
	for _, it := range items {
		r.attempts.forget(it)
	}
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	if err := sub.Ack(ctx, deliveries(items)...); err != nil {
		r.busError("ack", err) // they come again, and are done again with the same result
		return
	}
	r.metrics.triggers.WithLabelValues(outcome).Add(float64(len(items)))
}

func (r *Runner) putBack(ctx context.Context, sub bus.Subscription, outcome string, delay time.Duration, ds ...bus.Delivery) {
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	if err := sub.Nack(ctx, delay, ds...); err != nil {
		r.busError("nack", err) // they come again when their leases run out
	}
	r.metrics.triggers.WithLabelValues(outcome).Add(float64(len(ds)))
}

func (r *Runner) busError(call string, err error) {
	r.metrics.busErrors.WithLabelValues(call).Inc()
	r.log.Warn("message bus", "call", call, "err", err)
}

func deliveries(items []item) []bus.Delivery {
	ds := make([]bus.Delivery, len(items))
	for i, it := range items {
		ds[i] = it.d
	}
	return ds
}

// attempts counts the failures of triggers where the bus does not count deliveries.
type attempts struct {
	mu    sync.Mutex
	limit int
	n     map[string]int // by trigger id
}

func newAttempts(limit int) *attempts { return &attempts{limit: limit, n: map[string]int{}} }

// failed is how often the delivery has been tried, this time included.
func (a *attempts) failed(it item) int {
	if it.d.Attempt > 0 {
		return it.d.Attempt
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.n[it.t.ID]; !known && len(a.n) >= a.limit {
		clear(a.n) // forgetting allows more attempts, never fewer
	}
	a.n[it.t.ID]++
	return a.n[it.t.ID]
}

func (a *attempts) forget(it item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.n, it.t.ID)
}
