package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"homefeed/pipeline/bus"
)

// Leases reads bus.Subscriptions. One goroutine a subscription pulls into a small buffer, and one goroutine
// extends the leases of everything that is not acknowledged; Close ends them all.
type Leases struct {
	subs   []bus.Subscription
	limits Limits
	extend time.Duration
	now    func() time.Time
	log    *slog.Logger
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	room    *sync.Cond // signalled when the buffer is taken
	buffer  []Message
	pulls   []pullState
	leases  []map[string]struct{} // by subscription: handles not acknowledged
	lastPos uint64
	failed  error
}

// pullState is what a subscription's goroutine knows about the other side.
type pullState struct {
	empty time.Time // when the last pull that brought nothing began; zero after one that brought something
}

const (
	pullBatch    = 1000
	pullPatience = time.Second // a pull that brings nothing for so long says that nothing waits
	bufferLimit  = 20_000
	extendBatch  = 2000
)

// NewLeases reads subs, which it closes in Close. Leases are extended every extend: take a third of the
// subscriptions' lease time. With extend 0 leases are neither remembered nor extended: for a graph that
// acknowledges in another process, where the lease time itself must outlast the longest freshness. The caller
// must Close it.
func NewLeases(subs []bus.Subscription, extend time.Duration, limits Limits, now func() time.Time, log *slog.Logger) *Leases {
	ctx, stop := context.WithCancel(context.Background())
	l := &Leases{
		subs: subs, limits: limits.withDefaults(400_000), extend: extend, now: now, log: log, stop: stop,
		pulls: make([]pullState, len(subs)), leases: make([]map[string]struct{}, len(subs)),
	}
	l.room = sync.NewCond(&l.mu)
	for i := range subs {
		l.leases[i] = map[string]struct{}{}
	}
	for i := range subs {
		l.done.Go(func() { l.pullLoop(ctx, i) })
	}
	if extend > 0 {
		l.done.Go(func() { l.extendLoop(ctx) })
	}
	return l
}

// Pull returns what is in the buffer, at most most messages, without waiting. An error is the subscriptions'
// last one, once.
func (l *Leases) Pull(_ context.Context, most int) (Batch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buffer) == 0 {
		if err := l.failed; err != nil {
			l.failed = nil
			return Batch{}, err
		}
		return Batch{Idle: l.idle()}, nil
	}
	n := min(most, len(l.buffer))
	messages := slices.Clone(l.buffer[:n])
	l.buffer = append(l.buffer[:0], l.buffer[n:]...)
	l.room.Broadcast()
	return Batch{Messages: messages}, nil
}

// idle: every subscription's last pull brought nothing, or no more may be held.
func (l *Leases) idle() bool {
	if l.held() >= l.limits.Unserved {
		return true
	}
	return !slices.ContainsFunc(l.pulls, func(p pullState) bool { return p.empty.IsZero() })
}

func (l *Leases) held() int {
	n := 0
	for _, m := range l.leases {
		n += len(m)
	}
	return n
}

// Ack ends the messages' leases. A lease that ran out is no error: its message comes again.
func (l *Leases) Ack(ctx context.Context, receipts []Receipt) error {
	bySub := make([][]bus.Delivery, len(l.subs))
	for _, r := range receipts {
		i, handle, err := splitHandle(r.Handle, len(l.subs))
		if err != nil {
			return err
		}
		bySub[i] = append(bySub[i], bus.Delivery{Handle: handle})
	}
	ctx, cancel := context.WithTimeout(ctx, l.limits.Wait)
	defer cancel()
	for i, ds := range bySub {
		if len(ds) == 0 {
			continue
		}
		if err := l.subs[i].Ack(ctx, ds...); err != nil {
			return fmt.Errorf("acknowledging %d messages: %w", len(ds), err)
		}
		l.forget(i, ds)
	}
	return nil
}

func (l *Leases) forget(sub int, ds []bus.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		delete(l.leases[sub], d.Handle)
	}
	l.room.Broadcast()
}

// Unserved is how many messages were read and not acknowledged.
func (l *Leases) Unserved() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held()
}

// Close stops the goroutines and closes the subscriptions. Leases run out by themselves.
func (l *Leases) Close(context.Context) error {
	l.stop()
	l.mu.Lock()
	l.room.Broadcast()
	l.mu.Unlock()
	var errs []error
	for _, s := range l.subs {
		errs = append(errs, s.Close())
	}
	l.done.Wait()
	return errors.Join(errs...)
}

func (l *Leases) pullLoop(ctx context.Context, i int) {
	for l.waitForRoom(ctx) {
		began := l.now()
		pctx, cancel := context.WithTimeout(ctx, pullPatience)
		ds, err := l.subs[i].Pull(pctx, pullBatch)
		empty := errors.Is(err, context.DeadlineExceeded) || err == nil && len(ds) == 0
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !empty:
			l.fail(fmt.Errorf("pulling messages: %w", err))
			pause(ctx, time.Second)
		default:
			l.take(i, ds, began)
		}
	}
}

func (l *Leases) waitForRoom(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ctx.Err() == nil && (len(l.buffer) >= bufferLimit || l.held() >= l.limits.Unserved) {
		l.room.Wait()
	}
	return ctx.Err() == nil
}

func (l *Leases) fail(err error) {
	l.log.Warn("the event subscription failed", "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
}

func (l *Leases) take(i int, ds []bus.Delivery, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(ds) == 0 {
		l.pulls[i].empty = began
		return
	}
	l.pulls[i].empty = time.Time{}
	for _, d := range ds {
		// Positions follow the clock, so that those of a later process are higher.
		l.lastPos = max(l.lastPos+1, uint64(l.now().UnixMicro()))
		if l.extend > 0 {
			l.leases[i][d.Handle] = struct{}{}
		}
		l.buffer = append(l.buffer, Message{
			Topic: d.Topic, Data: d.Data, Time: timeOf(d.Message, d.Published), Attributes: d.Attributes,
			Attempt: d.Attempt, Receipt: Receipt{Pos: l.lastPos, Handle: joinHandle(i, d.Handle)},
		})
	}
}

func (l *Leases) extendLoop(ctx context.Context) {
	tick := time.NewTicker(l.extend)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.extendAll(ctx)
		}
	}
}

func (l *Leases) extendAll(ctx context.Context) {
	for i, s := range l.subs {
		for ds := range slices.Chunk(l.heldBy(i), extendBatch) {
			ectx, cancel := context.WithTimeout(ctx, l.limits.Wait)
			err := s.Extend(ectx, ds...)
			cancel()
			if err != nil && ctx.Err() == nil {
				// Messages whose leases run out come again, which is only a repetition.
				l.log.Warn("leases were not extended", "leases", len(ds), "error", err)
			}
		}
	}
}

func (l *Leases) heldBy(i int) []bus.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	ds := make([]bus.Delivery, 0, len(l.leases[i]))
	for h := range l.leases[i] {
		ds = append(ds, bus.Delivery{Handle: h})
	}
	return ds
}

func joinHandle(sub int, handle string) string { return strconv.Itoa(sub) + ":" + handle }

func splitHandle(s string, subs int) (int, string, error) {
	number, handle, ok := strings.Cut(s, ":")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 0 || i >= subs {
		return 0, "", fmt.Errorf("receipt %.20q: want the number of one of %d subscriptions, a colon and a handle", s, subs)
	}
	return i, handle, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
