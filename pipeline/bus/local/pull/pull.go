// Package pull takes messages from a JetStream consumer: it waits for the first one, then takes what is there. The
// client library either waits until a batch is full (Fetch) or does not wait at all (FetchNoWait); the server can do
// this in one request, "no_wait" with an expiry (NATS ADR-13).
package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Puller asks one consumer for messages. One goroutine uses it.
type Puller struct {
	// Conn leads to the server. Link is done when the connection as it stands at the call is lost, or closed.
	Conn *nats.Conn
	Link func() context.Context
	// Stream and Consumer name the consumer.
	Stream, Consumer string
	// Linger ends a request that has delivered something and then nothing for so long. The server holds such a
	// request open while the consumer has as many messages out as it may. 0: never.
	Linger time.Duration
	// Keep leaves a request open when the caller's context ends, for the next Pull to go on with. It suits a
	// consumer without leases: a message that comes in between just waits here.
	Keep bool

	open *request // the request that is open, if any
	last int      // how many messages the last Pull returned
}

const (
	// requestExpires is how long the server keeps a request without messages; an idle consumer costs one request
	// in that time.
	requestExpires = 10 * time.Second
	// answerGrace is how much later than its expiry the end of a request may be heard.
	answerGrace = 5 * time.Second
	// earlyEndPause keeps a request that ends at once without a message, as it does while another process waits on
	// the same consumer, from being repeated in a hot loop.
	earlyEndPause = 50 * time.Millisecond
	// minBatch is the smallest batch that is asked for of a caller who takes any: a request has room for each message that
	// it asks for, so it asks for no more than twice what the last one brought.
	minBatch = 256
	// MaxBatch is the largest batch that is asked for at once, maxBytes its size. The server gives up on a connection
	// that has 64 MB unread.
	MaxBatch = 4096
	maxBytes = 4 << 20
)

var (
	// ErrNoConsumer says that the server does not know the consumer.
	ErrNoConsumer = errors.New("the consumer is gone")
	// ErrLinkLost says that the connection was lost, and with it what was asked on it.
	ErrLinkLost = errors.New("the connection was lost")
)

// Pull waits until there is a message and returns at most n, or at most as many as an open request asked for. With
// messages the error is nil; else it is ctx's, ErrNoConsumer, ErrLinkLost, or the server's.
func (p *Puller) Pull(ctx context.Context, n int) ([]*nats.Msg, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		start := time.Now()
		if p.open == nil {
			if err := p.request(ctx, min(n, MaxBatch, max(minBatch, 2*p.last))); err != nil {
				return nil, err
			}
		}
		msgs, err := p.open.collect(ctx)
		if len(msgs) > 0 || err != nil {
			p.last = len(msgs)
			return msgs, err
		}
		if time.Since(start) >= earlyEndPause {
			continue
		}
		pause := time.NewTimer(earlyEndPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// request sends a request, which is open then.
func (p *Puller) request(ctx context.Context, n int) error {
	expires := requestExpires
	if deadline, ok := ctx.Deadline(); ok && !p.Keep {
		expires = max(min(expires, time.Until(deadline)), time.Millisecond)
	}
	r := &request{
		Puller:  p,
		link:    p.Link(),
		answers: make(chan *nats.Msg, n+8), // never full: the server sends n messages and a status or two
		want:    n,
		giveUp:  time.Now().Add(expires + answerGrace),
	}
	data, err := json.Marshal(body{Batch: n, MaxBytes: maxBytes, Expires: expires, NoWait: true})
	if err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	subject := "$JS.API.CONSUMER.MSG.NEXT." + p.Stream + "." + p.Consumer
	inbox := p.Conn.NewInbox()
	if r.sub, err = p.Conn.ChanSubscribe(inbox, r.answers); err != nil {
		return fmt.Errorf("listening for messages: %w", err)
	}
	if err := p.Conn.PublishRequest(subject, inbox, data); err != nil {
		_ = r.sub.Unsubscribe() // nothing can come: the request was not sent
		return fmt.Errorf("asking for messages: %w", err)
	}
	p.open = r
	return nil
}

// Close gives an open request up. What it brought and Pull has not returned is lost.
func (p *Puller) Close() {
	if p.open != nil {
		_, _ = p.open.finish(nil)
	}
}

// body is a request as the server reads it.
type body struct {
	Batch    int           `json:"batch"`
	MaxBytes int           `json:"max_bytes"`
	Expires  time.Duration `json:"expires"`
	NoWait   bool          `json:"no_wait"`
}

// request is one that has been sent.
type request struct {
	*Puller
	sub     *nats.Subscription
	answers chan *nats.Msg
	link    context.Context
	want    int // messages still to come
	giveUp  time.Time
	msgs    []*nats.Msg
}

// collect returns what the request brings once there is no more. No messages and no error: it ran out without any.
func (r *request) collect(ctx context.Context) ([]*nats.Msg, error) {
	giveUp := time.NewTimer(time.Until(r.giveUp))
	defer giveUp.Stop()
	var idle *time.Timer
	var idleC <-chan time.Time
	for r.want > 0 {
		select {
		case m := <-r.answers:
			if end, err := r.add(m); end {
				return r.finish(err)
			}
			if r.Linger > 0 && idle == nil {
				idle = time.NewTimer(r.Linger)
				defer idle.Stop()
				idleC = idle.C
			} else if idle != nil {
				idle.Reset(r.Linger)
			}
		case <-idleC:
			return r.abandon(nil)
		case <-r.link.Done():
			return r.finish(ErrLinkLost)
		case <-giveUp.C:
			return r.abandon(errors.New("the bus does not answer"))
		case <-ctx.Done():
			if r.Keep {
				return r.take(ctx.Err())
			}
			return r.abandon(ctx.Err())
		}
	}
	return r.finish(nil)
}

// add takes one answer in; end says that it is the last one.
func (r *request) add(m *nats.Msg) (end bool, err error) {
	status := m.Header.Get("Status")
	if len(m.Data) > 0 || status == "" {
		r.msgs = append(r.msgs, m)
		r.want--
		return false, nil
	}
	reason := m.Header.Get("Description")
	switch status {
	case "100": // still there
		return false, nil
	case "404", "408": // no more
		return true, nil
	case "409":
		if reason == "Batch Completed" || reason == "Message Size Exceeds MaxBytes" {
			return true, nil
		}
		if reason == "Consumer Deleted" {
			return true, ErrNoConsumer
		}
	case "503":
		return true, ErrNoConsumer
	}
	return true, fmt.Errorf("asking for messages: %s %s", status, strings.ToLower(reason))
}

// take returns the messages so far. They go before an error, which shows again if it lasts.
func (r *request) take(err error) ([]*nats.Msg, error) {
	if msgs := r.msgs; len(msgs) > 0 {
		r.msgs = nil
		return msgs, nil
	}
	return nil, err
}

// finish ends a request after which nothing comes, or nothing that counts.
func (r *request) finish(err error) ([]*nats.Msg, error) {
	_ = r.sub.Unsubscribe() // it fails only on a closed connection
	r.Puller.open = nil
	return r.take(err)
}

// abandon ends a request that the server still holds. When the flush is back, the server has seen the end of the
// subscription, and everything that it had sent before is in answers. (Without that, such messages would stay leased
// to nobody until the lease runs out.)
func (r *request) abandon(err error) ([]*nats.Msg, error) {
	if r.sub.Drain() == nil { // tells the server alone; what is under way still comes
		_ = r.Conn.FlushTimeout(time.Second) // on an error the leases run out by themselves
	}
	for {
		select {
		case m := <-r.answers:
			if end, _ := r.add(m); end {
				return r.finish(err)
			}
		default:
			return r.finish(err)
		}
	}
}
