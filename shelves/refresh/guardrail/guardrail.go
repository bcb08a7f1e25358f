// Package guardrail holds what the refresh runner wraps around a shelf's function, so that no shelf can hang,
// crash or flood it. Each guardrail takes a Fill and gives a Fill that keeps one promise more.
package guardrail

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"homefeed/shelves/shelf"
)

// Fill is a shelf's function.
type Fill func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error)

// ErrTooFew says that a shelf has fewer cards than its Guard.MinCards. It is no failure: the older row stays.
var ErrTooFew = errors.New("too few cards")

// Options is what Wrap tells its caller while a shelf runs. The zero Options work.
type Options struct {
	// Abandoned bounds and counts the calls that outlived their deadline; nil means a count of Wrap's own.
	Abandoned *Abandoned
	// Dropped is told why a card was dropped; nil means nobody is.
	Dropped func(error)
}

// Wrap puts every guardrail around s.Fill: outermost MinCards, then Trim, Deadline and Recover.
func Wrap(s *shelf.Shelf, o Options) Fill {
	g := s.Guard.WithDefaults()
	if o.Abandoned == nil {
		o.Abandoned = &Abandoned{}
	}
	fill := Recover(s.Fill)
	fill = Deadline(g.Timeout, o.Abandoned, fill)
	fill = Trim(g.MaxCards, o.Dropped, fill)
	return MinCards(g.MinCards, fill)
}

// PanicError is a panic that Recover turned into an error.
type PanicError struct {
	Value any
	Stack []byte // for the log
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Recover turns a panic of next into a *PanicError.
func Recover(next Fill) Fill {
	return func(ctx context.Context, r *shelf.Request) (cards []shelf.Card, err error) {
		defer func() {
			if v := recover(); v != nil {
				cards, err = nil, &PanicError{v, debug.Stack()}
			}
		}()
		return next(ctx, r)
	}
}

// MaxAbandoned is how many calls of a shelf may outlive their deadline before it is not called any more.
const MaxAbandoned = 8

// Abandoned counts a shelf's calls that outlived their deadline and still run.
type Abandoned struct{ n atomic.Int64 }

// Running is how many there are.
func (a *Abandoned) Running() int { return int(a.n.Load()) }

// Deadline gives next a deadline and answers when it passes, whether next observes it or not: the error is then
// context.DeadlineExceeded, or that of ctx. Go can't stop a function that doesn't observe its context; Deadline
// leaves such a call behind and, once a has MaxAbandoned of them, refuses to start more.
func Deadline(timeout time.Duration, a *Abandoned, next Fill) Fill {
	return func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
		if n := a.Running(); n >= MaxAbandoned {
			return nil, fmt.Errorf("not called: %d earlier calls outlived their deadline and still run", n)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		type answer struct {
			cards []shelf.Card
			err   error
		}
		own := *r // a call that is left behind goes on writing to its own copy
		answers := make(chan answer, 1)
		var settled atomic.Bool // by whoever is first: the call that ends, or the caller who leaves it behind
		go func() {
			cards, err := next(ctx, &own)
			answers <- answer{cards, err}
			if settled.Swap(true) {
				a.n.Add(-1)
			}
		}()
		select {
		case got := <-answers:
			r.TitleArgs = own.TitleArgs
			return got.cards, got.err
		case <-ctx.Done():
			a.n.Add(1)
			if settled.Swap(true) {
				a.n.Add(-1)
			}
			return nil, fmt.Errorf("no answer in time: %w", ctx.Err())
		}
	}
}

// Trim leaves out cards that can't be shown and repeats of a URI, telling dropped (which may be nil) about them,
// and cuts what is over most.
func Trim(most int, dropped func(error), next Fill) Fill {
	return func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
		cards, err := next(ctx, r)
		if err != nil {
			return nil, err
		}
		kept := make([]shelf.Card, 0, min(len(cards), most))
		seen := make(map[string]bool, cap(kept))
		for _, c := range cards {
			if len(kept) == most {
				break
			}
			err := c.Validate()
			if err == nil && seen[c.URI] {
				err = fmt.Errorf("card %q: is on the shelf already", c.URI)
			}
			if err != nil {
				if dropped != nil {
					dropped(err)
				}
				continue
			}
			seen[c.URI] = true
			kept = append(kept, c)
		}
		return kept, nil
	}
}

// MinCards turns fewer cards than least into ErrTooFew.
func MinCards(least int, next Fill) Fill {
	return func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
		cards, err := next(ctx, r)
		if err == nil && len(cards) < least {
			return nil, fmt.Errorf("%w: %d, want %d", ErrTooFew, len(cards), least)
		}
		return cards, err
	}
}
