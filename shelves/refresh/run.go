package refresh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/trigger"
)

// Run works on the triggers of sub until ctx ends. Triggers of one listener are done one after the other; those
// that wait meanwhile are merged and done at once. A delivery is acked after the write that serves it. A failed
// shelf brings its triggers back later, at most bus.MaxAttempts times; then they go to trigger.DeadLetterTopic.
// While the store is away triggers wait, and none goes there for that.
//
// When ctx ends Run pulls nothing more, gives running work up to DrainTimeout and leaves the rest un-acked. The
// error is nil if all running work was finished. Run does not close sub.
func (r *Runner) Run(ctx context.Context, sub bus.Subscription) error {
	if r.cfg.DeadLetters == nil {
		return errors.New("refresh: DeadLetters: want a publisher")
	}
	q := &queue{
		r: r, sub: sub,
		allow: make(chan int), pulled: make(chan []item), jobs: make(chan job), done: make(chan job),
		extend:  make(chan []bus.Delivery, 1),
		pending: map[string][]item{}, running: map[string][]item{},
	}
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var wg sync.WaitGroup
	wg.Go(func() { q.pull(ctx) })
	wg.Go(func() { q.extendLeases(work) })
	for range r.cfg.Concurrency {
		wg.Go(func() { q.work(work) })
	}
	q.dispatch(ctx)
	err := q.drain(cut)
	close(q.jobs)
	close(q.extend)
	wg.Wait()
	return err
}

// item is one delivery and what it says.
type item struct {
	d    bus.Delivery
	t    trigger.Trigger
	err  error // why it can't be decoded
	tick int   // when it came, in ticks of lease extension
}

// key is what is done one after the other. What can't be decoded has no listener, and a key of its own.
func (i *item) key() string {
	switch {
	case i.err != nil:
		return ""
	case i.t.User != "":
		return "u:" + i.t.User
	}
	return "m:" + i.t.Market
}

// job is all that waits for one key.
type job struct {
	key   string
	items []item
}

// queue hands deliveries to workers, one key at a time. Its maps belong to the goroutine of dispatch and drain.
type queue struct {
	r      *Runner
	sub    bus.Subscription
	allow  chan int            // dispatch → pull: how many may come
	pulled chan []item         // pull → dispatch
	jobs   chan job            // dispatch → workers
	done   chan job            // workers → dispatch
	extend chan []bus.Delivery // dispatch → extendLeases

	pending map[string][]item // waiting, by key
	running map[string][]item // being done, by key
	ready   []string          // keys with something pending and nothing running, first come first
	held    int               // items in both maps
	asked   bool              // pull has been allowed to and has not answered
	ticks   int
}

// dispatch runs until ctx ends.
func (q *queue) dispatch(ctx context.Context) {
	tick := time.NewTicker(q.r.cfg.ExtendEvery)
	defer tick.Stop()
	for {
		var allow chan int
		if free := q.r.cfg.MaxHeld - q.held; free > 0 && !q.asked {
			allow = q.allow
		}
		var jobs chan job
		var next job
		if len(q.ready) > 0 && (len(q.running) == 0 || !q.r.cfg.Yield()) {
			jobs, next = q.jobs, job{q.ready[0], q.pending[q.ready[0]]}
		}
		select {
		case <-ctx.Done():
			return
		case allow <- q.r.cfg.MaxHeld - q.held:
			q.asked = true
		case items := <-q.pulled:
			q.asked = false
			q.add(items)
		case jobs <- next:
			q.start(next)
		case j := <-q.done:
			q.finish(j)
		case <-tick.C:
			q.tick()
		}
	}
}

// drain waits until nothing runs, or cuts off what still does after DrainTimeout.
func (q *queue) drain(cut context.CancelFunc) error {
	tick := time.NewTicker(q.r.cfg.ExtendEvery)
	defer tick.Stop()
	late := time.NewTimer(q.r.cfg.DrainTimeout)
	defer late.Stop()
	var err error
	for len(q.running) > 0 {
		select {
		case j := <-q.done:
			q.finish(j)
		case <-tick.C:
			q.tick()
		case <-late.C:
			err = fmt.Errorf("refresh: draining: triggers of %d rows were cut off; they will be delivered again", len(q.running))
			cut()
		}
	}
	q.r.metrics.held.Sub(float64(q.held)) // what is pending belongs to the bus again
	return err
}

func (q *queue) add(items []item) {
	q.held += len(items)
	q.r.metrics.held.Add(float64(len(items)))
	for _, it := range items {
		it.tick = q.ticks
		key := it.key()
		if len(q.pending[key]) == 0 && len(q.running[key]) == 0 {
			q.ready = append(q.ready, key)
		}
		q.pending[key] = append(q.pending[key], it)
	}
}

func (q *queue) start(j job) {
	q.ready = q.ready[1:]
	delete(q.pending, j.key)
	q.running[j.key] = j.items
	q.r.metrics.running.Inc()
}

func (q *queue) finish(j job) {
	delete(q.running, j.key)
	q.held -= len(j.items)
	q.r.metrics.held.Sub(float64(len(j.items)))
	q.r.metrics.running.Dec()
	if len(q.pending[j.key]) > 0 {
		q.ready = append(q.ready, j.key)
	}
}

// tick hands what has been held for a whole tick to extendLeases, which may still be busy with the last.
func (q *queue) tick() {
	var old []bus.Delivery
	for _, held := range []map[string][]item{q.pending, q.running} {
		for _, items := range held {
			for _, it := range items {
				if it.tick < q.ticks {
					old = append(old, it.d)
				}
			}
		}
	}
	q.ticks++
	if len(old) == 0 {
		return
	}
	select {
	case q.extend <- old:
	default:
	}
}

// pull brings deliveries until ctx ends; what came with the end is left to its lease.
func (q *queue) pull(ctx context.Context) {
	for {
		most := 0
		select {
		case <-ctx.Done():
			return
		case most = <-q.allow:
		}
		ds, err := backoff.Retry(ctx, func() ([]bus.Delivery, error) { return q.sub.Pull(ctx, most) },
			backoff.WithMaxElapsedTime(0), backoff.WithBackOff(patient()),
			backoff.WithNotify(func(err error, _ time.Duration) { q.r.busError("pull", err) }))
		if err != nil {
			return // ctx ended
		}
		items := make([]item, len(ds))
		for i, d := range ds {
			items[i].d = d
			items[i].t, items[i].err = trigger.Decode(d.Data)
		}
		select {
		case <-ctx.Done():
			return
		case q.pulled <- items:
		}
	}
}

// patient is how long to wait between attempts at something that is away: 0.1 s at first, 5 s at most.
func patient() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier, b.MaxInterval = 100*time.Millisecond, 2, 5*time.Second
	return b
}

func (q *queue) extendLeases(ctx context.Context) {
	for ds := range q.extend {
		ctx, cancel := context.WithTimeout(ctx, busTimeout)
		if err := q.sub.Extend(ctx, ds...); err != nil {
			q.r.busError("extend", err)
		}
		cancel()
	}
}

func (q *queue) work(ctx context.Context) {
	for j := range q.jobs {
		q.r.handle(ctx, q.sub, j.items)
		q.done <- j
	}
}
