package guardrail_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/shelves/refresh/guardrail"
	"homefeed/shelves/shelf"
)

func cards(ids ...string) []shelf.Card {
	var cs []shelf.Card
	for _, id := range ids {
		cs = append(cs, shelf.Card{URI: "track:" + id, Title: id})
	}
	return cs
}

func giving(cs []shelf.Card, err error) guardrail.Fill {
	return func(context.Context, *shelf.Request) ([]shelf.Card, error) { return cs, err }
}

func TestRecover(t *testing.T) {
	fill := guardrail.Recover(func(context.Context, *shelf.Request) ([]shelf.Card, error) { panic("oh dear") })
	_, err := fill(t.Context(), &shelf.Request{})
	var p *guardrail.PanicError
	if !errors.As(err, &p) || p.Value != "oh dear" || !strings.Contains(string(p.Stack), "guardrail_test") {
		t.Errorf("want a PanicError with value and stack, got %#v", err)
	}
}

func TestDeadlineAnswersThoughTheFunctionDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a guardrail.Abandoned
		release := make(chan struct{})
		fill := guardrail.Deadline(time.Second, &a, func(_ context.Context, r *shelf.Request) ([]shelf.Card, error) {
			<-release // deaf to its context
			r.Title("artist", "too late")
			return cards("a"), nil
		})
		start := time.Now()
		r := &shelf.Request{}
		for i := range guardrail.MaxAbandoned {
			_, err := fill(t.Context(), r)
			if !errors.Is(err, context.DeadlineExceeded) || a.Running() != i+1 {
				t.Fatalf("call %d: got %v with %d left behind", i, err, a.Running())
			}
		}
		if got := time.Since(start); got != guardrail.MaxAbandoned*time.Second {
			t.Errorf("took %v", got)
		}
		if _, err := fill(t.Context(), r); err == nil || errors.Is(err, context.DeadlineExceeded) || time.Since(start) > guardrail.MaxAbandoned*time.Second {
			t.Errorf("want the next call refused at once, got %v", err)
		}
		close(release)
		synctest.Wait()
		if a.Running() != 0 || r.TitleArgs != nil {
			t.Errorf("after the calls ended: %d left behind, title %v; want none", a.Running(), r.TitleArgs)
		}
		if got, err := fill(t.Context(), r); err != nil || len(got) != 1 || r.TitleArgs["artist"] == "" {
			t.Errorf("want calls again, and the title: got %v, %v, %v", got, err, r.TitleArgs)
		}
	})
}

func TestDeadlineOfACallThatObservesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a guardrail.Abandoned
		fill := guardrail.Deadline(time.Second, &a, func(ctx context.Context, _ *shelf.Request) ([]shelf.Card, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if _, err := fill(t.Context(), &shelf.Request{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := fill(ctx, &shelf.Request{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
		synctest.Wait()
		if a.Running() != 0 {
			t.Errorf("%d left behind", a.Running())
		}
	})
}

func TestTrim(t *testing.T) {
	bad := shelf.Card{URI: "track:bad"}
	var dropped []string
	fill := guardrail.Trim(3, func(err error) { dropped = append(dropped, err.Error()) },
		giving(append([]shelf.Card{bad}, cards("a", "b", "a", "c", "d")...), nil))
	got, err := fill(t.Context(), &shelf.Request{})
	if diff := cmp.Diff(cards("a", "b", "c"), got); err != nil || diff != "" {
		t.Errorf("error %v, cards (-want +got):\n%s", err, diff)
	}
	want := []string{`card "track:bad": title is empty`, `card "track:a": is on the shelf already`}
	if diff := cmp.Diff(want, dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

// TestTrimKeepsTheBestOfEach checks Trim against a plain definition.
func TestTrimKeepsTheBestOfEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d", ""})).Draw(t, "ids")
		most := rapid.IntRange(1, 5).Draw(t, "most")
		var want []string
		seen := map[string]bool{"": true}
		for _, id := range ids {
			if !seen[id] && len(want) < most {
				want = append(want, "track:"+id)
			}
			seen[id] = true
		}
		got, err := guardrail.Trim(most, nil, giving(cards(ids...), nil))(context.Background(), nil)
		var uris []string
		for _, c := range got {
			uris = append(uris, c.URI)
		}
		if diff := cmp.Diff(want, uris); err != nil || diff != "" {
			t.Fatalf("error %v, URIs (-want +got):\n%s", err, diff)
		}
	})
}

func TestMinCards(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		cards []shelf.Card
		err   error
		want  error
	}{
		{cards("a", "b"), nil, nil},
		{cards("a"), nil, guardrail.ErrTooFew},
		{nil, nil, guardrail.ErrTooFew},
		{nil, boom, boom},
	} {
		if _, err := guardrail.MinCards(2, giving(c.cards, c.err))(t.Context(), nil); !errors.Is(err, c.want) {
			t.Errorf("%v, %v: got %v, want %v", c.cards, c.err, err, c.want)
		}
	}
}

func TestWrapCountsCardsAfterTrimming(t *testing.T) {
	s := &shelf.Shelf{Guard: shelf.Guard{MinCards: 3}, Fill: giving(cards("a", "a", "b"), nil)}
	if got, err := guardrail.Wrap(s, guardrail.Options{})(t.Context(), &shelf.Request{}); !errors.Is(err, guardrail.ErrTooFew) {
		t.Errorf("got %v, %v; want ErrTooFew, since two of three cards are one", got, err)
	}
	s.Fill = func(context.Context, *shelf.Request) ([]shelf.Card, error) { panic(fmt.Sprint("oh", "dear")) }
	var p *guardrail.PanicError
	if _, err := guardrail.Wrap(s, guardrail.Options{})(t.Context(), &shelf.Request{}); !errors.As(err, &p) {
		t.Errorf("got %v, want a PanicError", err)
	}
}
