package pipelinetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// Log is a log in memory that outlives its readers. The zero Log is empty.
type Log struct {
	mu      sync.Mutex
	entries []bus.Entry
	floor   uint64
	grown   chan struct{} // closed and replaced when entries are appended

	// Fail, if set before use, is asked before each call of a reader, by the method's name.
	Fail func(method string) error
	// More is how many messages Waiting and End count that aren't there: with it, a driver is never told that it has read
	// everything.
	More int
	// Delay is how long messages are on their way to a Read, which Waiting knows of.
	Delay time.Duration
	// Hold is how long a Read keeps what it has taken before it returns, as a goroutine may that is not scheduled.
	Hold time.Duration
	// MostRead bounds what a Read returns, beside its own max; 0: no bound.
	MostRead int
}

// Append publishes events, each on its topic.
func (l *Log) Append(events ...event.Event) error {
	for _, e := range events {
		data, err := event.Encode(e)
		if err != nil {
			return err
		}
		l.AppendRaw(e.Kind.Topic(), bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: data})
	}
	return nil
}

// AppendRaw publishes messages on a topic.
func (l *Log) AppendRaw(topic string, messages ...bus.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		l.entries = append(l.entries, bus.Entry{Message: m, Topic: topic, Published: m.Time, Pos: uint64(len(l.entries) + 1)})
	}
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Entries is everything appended so far.
func (l *Log) Entries() []bus.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Floor is the floor as it is kept.
func (l *Log) Floor() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floor
}

// Open reads from the floor, as a process that has just started does.
func (l *Log) Open() bus.Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &logReader{log: l, start: l.floor, pos: l.floor}
}

type logReader struct {
	log   *Log
	start uint64
	pos   uint64 // guarded by log.mu
}

func (r *logReader) fail(method string) error {
	if r.log.Fail == nil {
		return nil
	}
	return r.log.Fail(method)
}

func (r *logReader) Read(ctx context.Context, most int) ([]bus.Entry, error) {
	if err := r.fail("Read"); err != nil {
		return nil, err
	}
	if r.log.MostRead > 0 {
		most = min(most, r.log.MostRead)
	}
	for {
		if waiting, _ := r.Waiting(ctx); r.log.Delay > 0 && waiting > 0 {
			<-time.After(r.log.Delay)
		}
		entries, grown := r.take(most)
		if len(entries) > 0 {
			if r.log.Hold > 0 {
				<-time.After(r.log.Hold)
			}
			return entries, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *logReader) take(most int) ([]bus.Entry, <-chan struct{}) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	left := r.log.entries[r.pos:]
	left = left[:min(most, len(left))]
	r.pos += uint64(len(left))
	if r.log.grown == nil {
		r.log.grown = make(chan struct{})
	}
	return slices.Clone(left), r.log.grown
}

func (r *logReader) Waiting(context.Context) (int, error) {
	if err := r.fail("Waiting"); err != nil {
		return 0, err
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return len(r.log.entries) - int(r.pos) + r.log.More, nil
}

func (r *logReader) End(context.Context) (uint64, error) {
	if err := r.fail("End"); err != nil {
		return 0, err
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return uint64(len(r.log.entries) + r.log.More), nil
}

func (r *logReader) Floor() uint64 { return r.start }

func (r *logReader) SetFloor(_ context.Context, pos uint64) error {
	if err := r.fail("SetFloor"); err != nil {
		return err
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.floor = max(r.log.floor, pos)
	return nil
}

func (r *logReader) Close() error { return nil }

// Publisher keeps what is published, in memory. The zero Publisher is empty.
type Publisher struct {
	mu       sync.Mutex
	messages map[string][]Published

	// Fail, if set before use, is asked before each call, by topic.
	Fail func(topic string) error
}

// Published is a message and when it was published.
type Published struct {
	bus.Message
	At time.Time
}

// Publish implements bus.Publisher.
func (p *Publisher) Publish(ctx context.Context, topic string, messages ...bus.Message) error {
	if p.Fail != nil {
		if err := p.Fail(topic); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.messages == nil {
		p.messages = map[string][]Published{}
	}
	for _, m := range messages {
		p.messages[topic] = append(p.messages[topic], Published{Message: m, At: time.Now()})
	}
	return nil
}

// On is what was published on a topic, in order.
func (p *Publisher) On(topic string) []Published {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages[topic])
}

// Triggers are those published, in order: of listeners, and of markets.
func (p *Publisher) Triggers() (listeners, markets []trigger.Trigger, err error) {
	for _, m := range p.On(trigger.Topic) {
		t, err := trigger.Decode(m.Data)
		if err != nil {
			return nil, nil, err
		}
		if t.Market != "" {
			markets = append(markets, t)
		} else {
			listeners = append(listeners, t)
		}
	}
	return listeners, markets, nil
}

// Recorder keeps which events were recorded, in memory. The zero Recorder is empty.
type Recorder struct {
	mu     sync.Mutex
	events map[string]event.Event

	// Fail, if set before use, is asked before each call.
	Fail func(events []event.Event) error
}

// Record implements pipeline.Recorder.
func (r *Recorder) Record(ctx context.Context, events []event.Event) error {
	if r.Fail != nil {
		if err := r.Fail(events); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		r.events = map[string]event.Event{}
	}
	for _, e := range events {
		r.events[e.ID] = e
	}
	return nil
}

// Has reports whether the event with this id is recorded.
func (r *Recorder) Has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.events[id]
	return ok
}

// Len is how many events are recorded.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// Refused is the error of a Recorder that refuses the event at Index for good.
type Refused struct{ Index int }

func (e *Refused) Error() string { return "the event is refused" }

// InvalidEvent implements pipeline.InvalidEvent.
func (e *Refused) InvalidEvent() int { return e.Index }
