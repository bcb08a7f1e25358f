// Package bus is the contract with the message bus: Pub/Sub in production (bus/gcppubsub), an embedded durable
// JetStream on one machine (bus/local). bustest holds the contract test that both pass.
//
// The bus delivers at least once. What a consumer has not acknowledged comes again: after Nack, when the lease
// runs out, or when the process starts again. Order holds within a Key as long as nothing is redelivered.
package bus

import (
	"context"
	"errors"
	"time"
)

// Message is what is published.
type Message struct {
	// ID lets the bus drop a message published twice in short order; a hint, never relied upon.
	ID string
	// Key is the ordering key. Messages of one key are delivered in the order of their publishing.
	Key string
	// Time is the event time. Zero means the time of publishing.
	Time time.Time
	// Data is at most MaxData bytes.
	Data []byte
	// Attributes are for people and filters; none starts with "homefeed-".
	Attributes map[string]string
}

// MaxData is the largest message: well inside Pub/Sub's 10 MB and what one message should ever be.
const MaxData = 1 << 20

// MaxAttempts is after how many deliveries a consumer gives a message up to its dead-letter topic.
const MaxAttempts = 5

// ErrTooLarge says that a message's data is over MaxData; publishing it again can't help.
var ErrTooLarge = errors.New("message is larger than 1 MiB")

// Publisher publishes.
type Publisher interface {
	// Publish returns nil once every message is durable. On an error any of them may have been published
	// and any not: the caller publishes all again (consumers are idempotent). It observes ctx's deadline.
	Publish(ctx context.Context, topic string, msgs ...Message) error
}

// Delivery is a message handed out under a lease.
type Delivery struct {
	Message
	Topic     string
	Published time.Time
	Attempt   int    // 1 the first time; 0 when the bus does not count
	Handle    string // what Ack takes; opaque, valid in any process while the lease lasts
}

// Subscription hands out each message to one consumer at a time.
type Subscription interface {
	// Pull waits until at least one message is there, and returns at most max in order. An error is ctx's, or
	// the bus is away: the caller backs off and calls again. One goroutine pulls. Messages of a key may be held back
	// as long as an earlier one of that key is not acknowledged.
	Pull(ctx context.Context, max int) ([]Delivery, error)
	// Ack ends the leases for good. A lease that ran out is not an error: the message comes again.
	Ack(ctx context.Context, ds ...Delivery) error
	// Nack asks for redelivery after about delay (buses round it, Pub/Sub applies its retry policy instead).
	Nack(ctx context.Context, delay time.Duration, ds ...Delivery) error
	// Extend prolongs the leases by the subscription's lease time.
	Extend(ctx context.Context, ds ...Delivery) error
	// Waiting is how many messages have not been handed out; known is false where the bus can't tell.
	Waiting(ctx context.Context) (n int, known bool, err error)
	// Close stops pulling. Leases run out by themselves.
	Close() error
}

// Log reads the messages of some topics in publishing order from a durable floor. Unlike a Subscription it
// keeps no lease a message, so millions may be in flight: the reader says how far it has got for good.
// Only bus/local has it: Pub/Sub has no positions.
type Log interface {
	// Read waits until at least one message is there and returns at most max, in rising Pos.
	Read(ctx context.Context, max int) ([]Entry, error)
	// Waiting is at least 1 while Read has not returned everything, and at most about how many messages are left: what is
	// stored together may count once. 0 means that everything published before the call has been returned.
	Waiting(ctx context.Context) (int, error)
	// End is the position of the last message published before the call, 0 if there is none. Whoever has dealt with
	// everything up to it misses nothing; Waiting can't tell that of messages which Read is just returning.
	End(ctx context.Context) (uint64, error)
	// Floor is the position after which this log started to read.
	Floor() uint64
	// SetFloor says durably that nothing at or below pos is needed again: the next opening of this name starts
	// behind it. Lower than the floor is ignored.
	SetFloor(ctx context.Context, pos uint64) error
	Close() error
}

// Entry is a message of a Log.
type Entry struct {
	Message
	Topic     string
	Published time.Time
	Pos       uint64 // 1 and rising, with gaps
}
