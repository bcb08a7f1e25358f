package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// puller asks a consumer for messages: it waits for the first one, then takes what is there. The client library
// either waits until a batch is full (Fetch) or does not wait at all (FetchNoWait); the server can do this in one
// request, "no_wait" with an expiry. One goroutine uses a puller.
type puller struct {
	bus     *Bus
	subject string // where requests for the consumer's messages go
	// linger ends a request that has delivered something and then nothing for so long. The server holds such a
	// request open while the consumer has as many messages out as it may. 0: never.
	linger time.Duration
	// keep leaves a request open when the caller's context ends, for the next pull to go on with. It suits a
	// consumer without leases: a message that comes in between just waits here.
	keep bool
	open *pulling // the request that is open, if any
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
	// maxPull is the largest batch that is asked for at once, maxPullBytes its size. The server gives up on
	// a connection that has 64 MB unread.
	maxPull      = 4096
	maxPullBytes = 4 << 20
)

var (
	// errNoConsumer says that the server does not know the consumer.
	errNoConsumer = errors.New("the consumer is gone")
	// errLinkLost says that the connection was lost, and with it what was asked on it.
	errLinkLost = errors.New("the connection was lost")
)

// pull waits until there is a message and returns at most n, or at most as many as an open request asked for. With
// messages the error is nil.
func (p *puller) pull(ctx context.Context, n int) ([]*nats.Msg, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		start := time.Now()
		if p.open == nil {
			if err := p.request(ctx, min(n, maxPull)); err != nil {
				return nil, p.bus.closedOr(err)
			}
		}
		msgs, err := p.open.collect(ctx)
		if len(msgs) > 0 || err != nil {
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
func (p *puller) request(ctx context.Context, n int) error {
	expires := requestExpires
	if deadline, ok := ctx.Deadline(); ok && !p.keep {
		expires = max(min(expires, time.Until(deadline)), time.Millisecond)
	}
	r := &pulling{
		puller:  p,
		link:    p.bus.currentLink(),
		answers: make(chan *nats.Msg, n+8), // never full: the server sends n messages and a status or two
		want:    n,
		giveUp:  time.Now().Add(expires + answerGrace),
	}
	body, err := json.Marshal(pullRequest{Batch: n, MaxBytes: maxPullBytes, Expires: expires, NoWait: true})
	if err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	inbox := p.bus.nc.NewInbox()
	if r.sub, err = p.bus.nc.ChanSubscribe(inbox, r.answers); err != nil {
		return fmt.Errorf("listening for messages: %w", err)
	}
	if err := p.bus.nc.PublishRequest(p.subject, inbox, body); err != nil {
		_ = r.sub.Unsubscribe() // nothing can come: the request was not sent
		return fmt.Errorf("asking for messages: %w", err)
	}
	p.open = r
	return nil
}

// close gives an open request up.
func (p *puller) close() {
	if p.open != nil {
		_, _ = p.open.finish(nil)
	}
}

// pullRequest is the server's format (NATS ADR-13).
type pullRequest struct {
	Batch    int           `json:"batch"`
	MaxBytes int           `json:"max_bytes"`
	Expires  time.Duration `json:"expires"`
	NoWait   bool          `json:"no_wait"`
}

// pulling is a request that has been sent.
type pulling struct {
	*puller
	sub     *nats.Subscription
	answers chan *nats.Msg
	link    context.Context
	want    int // messages still to come
	giveUp  time.Time
	msgs    []*nats.Msg
}

// collect returns what the request brings once there is no more. No messages and no error: it ran out without any.
func (r *pulling) collect(ctx context.Context) ([]*nats.Msg, error) {
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
			if r.linger > 0 && idle == nil {
				idle = time.NewTimer(r.linger)
				defer idle.Stop()
				idleC = idle.C
			} else if idle != nil {
				idle.Reset(r.linger)
			}
		case <-idleC:
			return r.abandon(nil)
		case <-r.link.Done():
			return r.finish(r.bus.closedOr(errLinkLost))
		case <-giveUp.C:
			return r.abandon(errors.New("the bus does not answer"))
		case <-ctx.Done():
			if r.keep {
				return r.take(ctx.Err())
			}
			return r.abandon(ctx.Err())
		}
	}
	return r.finish(nil)
}

// add takes one answer in; end says that it is the last one.
func (r *pulling) add(m *nats.Msg) (end bool, err error) {
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
			return true, errNoConsumer
		}
	case "503":
		return true, errNoConsumer
	}
	return true, fmt.Errorf("asking for messages: %s %s", status, strings.ToLower(reason))
}

// take returns the messages so far. They go before an error, which shows again if it lasts.
func (r *pulling) take(err error) ([]*nats.Msg, error) {
	if msgs := r.msgs; len(msgs) > 0 {
		r.msgs = nil
		return msgs, nil
	}
	return nil, err
}

// finish ends a request after which nothing comes, or nothing that counts.
func (r *pulling) finish(err error) ([]*nats.Msg, error) {
	_ = r.sub.Unsubscribe() // it fails only on a closed connection
	r.puller.open = nil
	return r.take(err)
}

// abandon ends a request that the server still holds. When the flush is back, the server has seen the end of the
// subscription, and everything that it had sent before is in answers. (Without that, such messages would stay leased
// to nobody until the lease runs out.)
func (r *pulling) abandon(err error) ([]*nats.Msg, error) {
	if r.sub.Drain() == nil { // tells the server alone; what is under way still comes
		_ = r.bus.nc.FlushTimeout(time.Second) // on an error the leases run out by themselves
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
