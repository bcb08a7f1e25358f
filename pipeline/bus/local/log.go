package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local/pull"
)

// log reads a stream from a position on. The server keeps no lease and no place for it that matters: when anything
// is out of the ordinary, it makes a new consumer behind the last message that it took in.
type log struct {
	bus    *Bus
	name   string // empty: no floor is kept
	stream jetstream.Stream
	filter []string           // the topics, empty for all of the stream
	start  uint64             // the floor at opening
	floors jetstream.KeyValue // nil without a name
	ctx    context.Context    // done when the log is closed
	cancel context.CancelFunc

	reading  sync.Mutex   // held by Read, and by Close to clean up behind it
	consumer string       // the server's name for the consumer; empty when there is none
	puller   *pull.Puller // of that consumer
	fresh    bool         // nothing came from it yet
	next     uint64       // the sequence that it gives to the next message, if none is lost
	taken    uint64       // position of the last message taken in
	rest     []bus.Entry  // taken in, not yet returned

	returned atomic.Uint64 // position of the last message returned

	flooring sync.Mutex // held by SetFloor
	floor    uint64     // as it is kept
}

// consumerIdle is after how long without a request the server forgets a consumer.
const consumerIdle = 2 * time.Minute

// OpenLog opens the log of this name behind its floor; a new name begins with the oldest message that is kept. The
// topics have to be of one stream, and one process has the name open at a time.
func (b *Bus) OpenLog(ctx context.Context, name string, topics []string) (bus.Log, error) {
	l, err := b.openLog(ctx, name, topics)
	if err != nil {
		return nil, fmt.Errorf("opening log %s: %w", name, err)
	}
	return l, nil
}

func (b *Bus) openLog(ctx context.Context, name string, topics []string) (*log, error) {
	if err := validName(name); err != nil {
		return nil, err
	}
	l, err := b.newLog(ctx, name, topics)
	if err != nil {
		return nil, err
	}
	var floor uint64
	err = b.call(ctx, func(ctx context.Context) (err error) {
		if l.floors, err = b.js.KeyValue(ctx, floorsBucket); err != nil {
			return fmt.Errorf("finding the floors: %w", err)
		}
		floor, err = readFloor(ctx, l.floors, l.key())
		return err
	})
	if err != nil {
		return nil, err
	}
	if first := l.stream.CachedInfo().State.FirstSeq; floor > 0 && first > sequenceOf(floor)+1 {
		l.reportDropped(first - sequenceOf(floor) - 1)
	}
	l.startBehind(floor)
	return l, nil
}

// OpenLogAt reads the topics behind pos, 0 for all that is kept, without a durable floor: for tools and tests that
// look into a stream. SetFloor fails on it.
func (b *Bus) OpenLogAt(ctx context.Context, topics []string, pos uint64) (bus.Log, error) {
	l, err := b.newLog(ctx, "", topics)
	if err != nil {
		return nil, fmt.Errorf("opening log of %v: %w", topics, err)
	}
	l.startBehind(pos)
	return l, nil
}

func (b *Bus) newLog(ctx context.Context, name string, topics []string) (*log, error) {
	streamName, err := streamOf(topics...)
	if err != nil {
		return nil, err
	}
	var stream jetstream.Stream
	err = b.call(ctx, func(ctx context.Context) (err error) {
		stream, err = b.js.Stream(ctx, streamName)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding stream %s: %w", streamName, err)
	}
	l := &log{bus: b, name: name, stream: stream, filter: filterFor(streamName, topics)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

func (l *log) startBehind(pos uint64) {
	l.start, l.floor, l.taken = pos, pos, pos
	l.returned.Store(pos)
}

func (l *log) key() string { return l.stream.CachedInfo().Config.Name + "." + l.name }

// label names the log in metrics and messages.
func (l *log) label() string {
	if l.name == "" {
		return "unnamed"
	}
	return l.name
}

func (l *log) reportDropped(n uint64) {
	l.bus.logger.Error("messages went out of retention before they were read", "log", l.label(), "messages", n)
	l.bus.metrics.unreadDropped.WithLabelValues(l.label()).Add(float64(n))
}

// Read implements bus.Log.
func (l *log) Read(ctx context.Context, max int) ([]bus.Entry, error) {
	if max < 1 {
		return nil, fmt.Errorf("reading log %s: max %d: want at least 1", l.label(), max)
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	for len(l.rest) == 0 {
		if err := l.fill(ctx); err != nil {
			return nil, fmt.Errorf("reading log %s: %w", l.label(), err)
		}
	}
	n := min(max, len(l.rest))
	entries := l.rest[:n:n]
	l.rest = l.rest[n:]
	l.returned.Store(entries[n-1].Pos)
	l.bus.metrics.read.WithLabelValues(l.label()).Add(float64(n))
	return entries, nil
}

// fill takes in a batch, or returns without one for a reason that calls for another attempt.
func (l *log) fill(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	err := l.pull(ctx)
	if err != nil && l.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

func (l *log) pull(ctx context.Context) error {
	if l.consumer == "" {
		if err := l.connect(ctx); err != nil {
			return err
		}
	}
	msgs, err := l.puller.Pull(ctx, pull.MaxBatch)
	if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
		return ctxErr // the consumer is as it was, and its request stays open
	}
	if err != nil {
		fresh := l.fresh
		l.disconnect()
		if !fresh && (errors.Is(err, pull.ErrNoConsumer) || errors.Is(err, pull.ErrLinkLost)) {
			return nil // forgotten by the server, in idleness or with its process: try again with another
		}
		return l.bus.closedOr(err)
	}
	l.fresh = false
	size := 0
	for _, m := range msgs {
		size += max(packed(m), 1)
	}
	l.rest = make([]bus.Entry, 0, size)
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading an entry: %w", err)
		}
		if meta.Sequence.Consumer != l.next {
			l.disconnect() // some were lost on the way: read them again
			return nil
		}
		l.next++
		l.rest = appendEntries(l.rest, m, meta.Sequence.Stream, l.taken, meta.Timestamp.UTC())
		l.taken = lastOf(meta.Sequence.Stream)
	}
	return nil
}

// connect makes a consumer behind what was taken in.
func (l *log) connect(ctx context.Context) error {
	config := jetstream.ConsumerConfig{
		FilterSubjects:    l.filter,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(sequenceOf(l.taken), 1), // perhaps a part of its pack only was taken in
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		InactiveThreshold: consumerIdle,
	}
	var consumer jetstream.Consumer
	err := l.bus.call(ctx, func(ctx context.Context) (err error) {
		consumer, err = l.stream.CreateConsumer(ctx, config)
		return err
	})
	if err != nil {
		return fmt.Errorf("preparing the consumer: %w", err)
	}
	info := consumer.CachedInfo()
	l.consumer, l.next, l.fresh = info.Name, 1, true
	l.puller = &pull.Puller{Conn: l.bus.nc, Link: l.bus.currentLink, Stream: info.Stream, Consumer: info.Name, Keep: true}
	return nil
}

// disconnect gives the consumer up, if there is one. What the server doesn't hear of, it forgets after consumerIdle.
func (l *log) disconnect() {
	if l.consumer == "" {
		return
	}
	l.puller.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.bus.call(ctx, func(ctx context.Context) error { return l.stream.DeleteConsumer(ctx, l.consumer) })
	l.consumer, l.puller = "", nil
}

// Waiting implements bus.Log. It counts a pack that has not been taken in as one message, but the last, and those of
// other topics in the stream too; 0 is exact.
func (l *log) Waiting(ctx context.Context) (int, error) {
	returned := l.returned.Load()
	end, err := l.End(ctx)
	if err != nil {
		return 0, err
	}
	if end <= returned {
		return 0, nil
	}
	if packs := sequenceOf(end) - sequenceOf(returned); packs > 0 {
		return int(packs-1) + int(end-position(sequenceOf(end), 0)) + 1, nil
	}
	return int(end - returned), nil
}

// End implements bus.Log. A consumer's own count of what is pending runs behind Publish, so the stream itself is asked.
func (l *log) End(ctx context.Context) (uint64, error) {
	subjects := l.filter
	if len(subjects) == 0 {
		subjects = []string{">"}
	}
	var end uint64
	for _, subject := range subjects {
		var last *jetstream.RawStreamMsg
		err := l.bus.call(ctx, func(ctx context.Context) (err error) {
			last, err = l.stream.GetLastMsgForSubject(ctx, subject)
			return err
		})
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return 0, fmt.Errorf("looking for the end of log %s: %w", l.label(), err)
		default:
			end = max(end, position(last.Sequence, max(packed(&nats.Msg{Header: last.Header}), 1)-1))
		}
	}
	return end, nil
}

// Floor implements bus.Log.
func (l *log) Floor() uint64 { return l.start }

// SetFloor implements bus.Log.
func (l *log) SetFloor(ctx context.Context, pos uint64) error {
	if l.floors == nil {
		return errors.New("setting the floor: a log without a name has none")
	}
	l.flooring.Lock()
	defer l.flooring.Unlock()
	if pos <= l.floor {
		return nil
	}
	err := l.bus.call(ctx, func(ctx context.Context) error { return writeFloor(ctx, l.floors, l.key(), pos) })
	if err != nil {
		return err
	}
	l.floor = pos
	return nil
}

// Close implements bus.Log. A Read that waits returns ErrClosed.
func (l *log) Close() error {
	l.cancel()
	l.reading.Lock()
	defer l.reading.Unlock()
	l.disconnect()
	return nil
}
