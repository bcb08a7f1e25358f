package source

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"homefeed/pipeline/bus"
)

// Log reads a bus.Log and moves its floor behind the oldest message that is not acknowledged.
type Log struct {
	log    bus.Log
	limits Limits
	now    func() time.Time

	mu      sync.Mutex
	held    []held // in rising Pos; the first is not done
	undone  int
	covered uint64 // everything up to here is acknowledged
	written uint64 // the floor that the log knows
	last    time.Time
}

type held struct {
	pos  uint64
	done bool
}

// NewLog reads l, which it closes in Close. now paces the writing of the floor.
func NewLog(l bus.Log, limits Limits, now func() time.Time) *Log {
	return &Log{log: l, limits: limits.withDefaults(4 << 20), now: now, covered: l.Floor(), written: l.Floor()}
}

// Pull returns what waits, at most most messages, without waiting for more. An error means that the bus is away.
// It also writes the floor when Ack left that to a later time.
func (l *Log) Pull(ctx context.Context, most int) (Batch, error) {
	if err := l.Ack(ctx, nil); err != nil {
		return Batch{}, err
	}
	l.mu.Lock()
	room := l.limits.Unserved - len(l.held)
	l.mu.Unlock()
	if room <= 0 {
		return Batch{Idle: true}, nil
	}
	batch, err := readWaiting(ctx, l.log, min(most, room), l.limits.Wait)
	if err != nil {
		return Batch{}, err
	}
	l.hold(batch.Messages)
	return batch, nil
}

// readWaiting takes what waits in a log, at most most messages.
func readWaiting(ctx context.Context, log bus.Log, most int, within time.Duration) (Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	waiting, err := log.Waiting(ctx)
	if err != nil {
		return Batch{}, fmt.Errorf("asking the log what waits: %w", err)
	}
	if waiting == 0 {
		return Batch{Idle: true}, nil
	}
	var messages []Message
	for waiting > 0 && len(messages) < most {
		entries, err := log.Read(ctx, most-len(messages))
		if err == nil {
			for i := range entries {
				messages = append(messages, fromEntry(&entries[i]))
			}
			// Asked again each time: only 0 is exact, and a Read with nothing to read would wait.
			waiting, err = log.Waiting(ctx)
		}
		if err != nil && len(messages) == 0 {
			return Batch{}, fmt.Errorf("reading the log: %w", err)
		}
		if err != nil {
			return Batch{Messages: messages}, nil // hand on what is there; the next Pull meets the error again
		}
	}
	return Batch{Messages: messages, Idle: waiting == 0}, nil
}

func (l *Log) hold(messages []Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range messages {
		l.held = append(l.held, held{pos: messages[i].Receipt.Pos})
	}
	l.undone += len(messages)
}

// Ack lets messages go for good. The floor follows, at most every Limits.FloorEvery: a floor that is behind
// costs a repetition after a crash, nothing else.
func (l *Log) Ack(ctx context.Context, receipts []Receipt) error {
	floor, due := l.settle(receipts)
	if !due {
		return nil
	}
	return l.write(ctx, floor)
}

func (l *Log) settle(receipts []Receipt) (floor uint64, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range receipts {
		i, found := slices.BinarySearchFunc(l.held, r.Pos, func(h held, pos uint64) int {
			switch {
			case h.pos < pos:
				return -1
			case h.pos > pos:
				return 1
			}
			return 0
		})
		if found && !l.held[i].done {
			l.held[i].done = true
			l.undone--
		}
	}
	n := 0
	for n < len(l.held) && l.held[n].done {
		l.covered = l.held[n].pos
		n++
	}
	l.held = l.held[n:]
	if l.covered == l.written || l.now().Sub(l.last) < l.limits.FloorEvery {
		return 0, false
	}
	l.last = l.now()
	return l.covered, true
}

func (l *Log) write(ctx context.Context, floor uint64) error {
	ctx, cancel := context.WithTimeout(ctx, l.limits.Wait)
	defer cancel()
	if err := l.log.SetFloor(ctx, floor); err != nil {
		return fmt.Errorf("writing the log's floor: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = max(l.written, floor)
	return nil
}

// Unserved is how many messages were read and not acknowledged.
func (l *Log) Unserved() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.undone
}

// Close writes the last floor and closes the log.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	floor, behind := l.covered, l.covered != l.written
	l.mu.Unlock()
	var err error
	if behind {
		err = l.write(ctx, floor)
	}
	if cerr := l.log.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("closing the log: %w", cerr)
	}
	return err
}

func fromEntry(e *bus.Entry) Message {
	return Message{
		Topic: e.Topic, Data: e.Data, Time: timeOf(e.Message, e.Published), Attributes: e.Attributes,
		Receipt: Receipt{Pos: e.Pos},
	}
}

func timeOf(m bus.Message, published time.Time) time.Time {
	if m.Time.IsZero() {
		return published
	}
	return m.Time
}
