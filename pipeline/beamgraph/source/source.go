// Package source adapts the two kinds of bus to what the Beam graph's source reads: a bus.Log (JetStream, with a
// floor) and bus.Subscriptions (Pub/Sub, with leases). It links no Beam.
//
// The rule that both keep: a message is let go (floor moved, lease ended) only when the graph acknowledges its
// Receipt, which it does after everything that came of the message has been published. So whatever a crash takes
// with it comes again, although the runner keeps its state in memory.
package source

import "time"

// Message is one message of the bus on its way into the graph.
type Message struct {
	Topic      string
	Data       []byte
	Time       time.Time // the event's time as the bus has it; the time of publishing where it has none
	Attributes map[string]string
	Attempt    int // 1 the first time; 0 when the bus does not count
	Receipt    Receipt
}

// Receipt is what acknowledges one message. It travels with the message through the graph's state, so it means
// the same in every process.
type Receipt struct {
	Pos    uint64 // rises from message to message
	Handle string // a lease; empty for a log, where Pos says all
}

// Batch is the answer to a Pull.
type Batch struct {
	Messages []Message
	// Idle says that everything that had been published when Pull was called has been handed out, so event time may
	// follow the clock.
	Idle bool
}

// Limits bound what an adapter holds. The zero value takes the defaults.
type Limits struct {
	// Unserved is how many messages may be read and not acknowledged. At the limit nothing more is read and the
	// batch says Idle, so event time goes on and what is held falls due. Default: 4 million for a log (64 MB),
	// 400,000 leases (about 150 MB).
	Unserved int
	// FloorEvery is how often at most a log's floor is written. Default 200 ms.
	FloorEvery time.Duration
	// Wait is how long one call to the bus may take. Default 10 s.
	Wait time.Duration
}

func (l Limits) withDefaults(unserved int) Limits {
	if l.Unserved == 0 {
		l.Unserved = unserved
	}
	if l.FloorEvery == 0 {
		l.FloorEvery = 200 * time.Millisecond
	}
	if l.Wait == 0 {
		l.Wait = 10 * time.Second
	}
	return l
}
