package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/local/outbox"
)

// publisher keeps the ids of each publication, and answers with answers before it succeeds.
type publisher struct {
	answers []error
	takes   time.Duration
	batches [][]string
}

func (p *publisher) Publish(ctx context.Context, topic string, messages ...bus.Message) error {
	if _, ok := ctx.Deadline(); !ok || topic != "topic" {
		return bus.ErrTooLarge // ends the test
	}
	<-time.After(p.takes)
	if len(p.answers) > 0 {
		answer := p.answers[0]
		p.answers = p.answers[1:]
		return answer
	}
	var ids []string
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	p.batches = append(p.batches, ids)
	return nil
}

type observed struct{ retries, published int }

func newOutbox(p *publisher) (*outbox.Outbox, *observed) {
	o := &observed{}
	return outbox.New("topic", p, outbox.Observer{
		Retrying:  func(string, error, time.Duration) { o.retries++ },
		Published: func(_ string, n int, _ time.Time) { o.published += n },
	}), o
}

func parcel(then func(), ids ...string) outbox.Parcel {
	p := outbox.Parcel{Then: then}
	for _, id := range ids {
		p.Messages = append(p.Messages, bus.Message{ID: id})
	}
	return p
}

func TestPublishesInOrderAndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{takes: time.Second, answers: []error{errors.New("away"), errors.New("away")}}
		box, seen := newOutbox(p)
		ended := make(chan error, 1)
		go func() { ended <- box.Run(t.Context()) }()
		var then []string
		mark := func(name string) func() {
			return func() { then = append(then, fmt.Sprintf("%s after %d batches", name, len(p.batches))) }
		}
		for _, next := range []outbox.Parcel{
			parcel(nil, "a"), parcel(mark("first"), "b", "c"), parcel(mark("second")), parcel(nil, "d"),
		} {
			if err := box.Send(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		box.Close()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{{"a"}, {"b", "c", "d"}}, p.batches); diff != "" {
			t.Errorf("publications (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"first after 2 batches", "second after 2 batches"}, then); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if seen.retries != 2 || seen.published != 4 {
			t.Errorf("observed %+v: want 2 retries and 4 published", *seen)
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{takes: time.Second}
		box, _ := newOutbox(p)
		for range 40 {
			ids := make([]string, 100)
			if err := box.Send(t.Context(), parcel(nil, ids...)); err != nil {
				t.Fatal(err)
			}
		}
		box.Close()
		if err := box.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sizes []int
		for _, b := range p.batches {
			sizes = append(sizes, len(b))
		}
		if diff := cmp.Diff([]int{1100, 1100, 1100, 700}, sizes); diff != "" {
			t.Errorf("sizes of publications (-want +got):\n%s", diff)
		}
	})
}

// While it can't publish, senders wait, and all end with their ctx.
func TestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{answers: make([]error, 1000)}
		for i := range p.answers {
			p.answers[i] = errors.New("away")
		}
		box, seen := newOutbox(p)
		cause := errors.New("the end")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- box.Run(ctx) }()
		go func() {
			for {
				if err := box.Send(ctx, parcel(nil, "a")); err != nil {
					ended <- err
					return
				}
			}
		}()
		<-time.After(time.Minute)
		synctest.Wait() // for the retry of this very moment, too
		if seen.retries < 10 {
			t.Errorf("%d retries in a minute: want some", seen.retries)
		}
		cancel(cause)
		for range 2 {
			if err := <-ended; !errors.Is(err, cause) {
				t.Errorf("ended with %v: want the cause of its context", err)
			}
		}
	})
}

func TestTooLargeIsForGood(t *testing.T) {
	box, _ := newOutbox(&publisher{answers: []error{fmt.Errorf("publishing: %w", bus.ErrTooLarge)}})
	if err := box.Send(t.Context(), parcel(nil, "a")); err != nil {
		t.Fatal(err)
	}
	box.Close()
	if err := box.Run(t.Context()); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("Run: error %v: want ErrTooLarge", err)
	}
}
