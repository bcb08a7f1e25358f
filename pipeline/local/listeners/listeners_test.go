package listeners_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/pipeline/event"
	"homefeed/pipeline/local/listeners"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

var epoch = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func newPolicy(t interface{ Fatal(...any) }) *refreshpolicy.Policy {
	fill := func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }
	p, err := refreshpolicy.New([]*shelf.Shelf{
		{Name: "a", Doc: "Test.", Guard: shelf.Guard{Freshness: 2 * time.Millisecond}, Fill: fill},
		{Name: "b", Doc: "Test.", Guard: shelf.Guard{Freshness: 9 * time.Millisecond}, Fill: fill,
			On: []shelf.Signal{{Kind: shelf.Played, AtLeast: 2, Within: 5 * time.Millisecond}}},
	}, refreshpolicy.Config{Lateness: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func collect(into *[]trigger.Trigger) func([]trigger.Trigger) error {
	return func(fired []trigger.Trigger) error {
		*into = append(*into, fired...)
		return nil
	}
}

// A Set is the policy for each of its listeners: the same triggers, the same times and positions, whatever happens in
// which order, and when it is written and read back.
func TestSetIsThePolicyForEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := newPolicy(t)
		set, states := listeners.New(policy), map[string]*refreshpolicy.State{}
		for pos := range uint64(rapid.IntRange(0, 60).Draw(t, "steps")) {
			at := epoch.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "at")) * time.Millisecond)
			var want, got []trigger.Trigger
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				for user, s := range states {
					if next, ok := policy.Next(s); ok && !next.After(at) {
						want = append(want, policy.Advance(s, user, at)...)
					}
				}
				if err := set.Advance(at, collect(&got)); err != nil {
					t.Fatal(err)
				}
			case 1:
				restored := listeners.New(policy)
				set.Each(func(user string, state []byte) {
					if err := restored.Restore(user, state); err != nil {
						t.Fatal(err)
					}
				})
				set = restored
			default:
				e := event.Event{ID: fmt.Sprint(pos), Kind: event.Played, Object: "t", Time: at,
					User: rapid.SampledFrom([]string{"ann", "bob", "cy"}).Draw(t, "user")}
				if states[e.User] == nil {
					states[e.User] = &refreshpolicy.State{}
				}
				want, got = policy.Add(states[e.User], e, pos), set.Add(e, pos)
			}
			if diff := cmp.Diff(byID(want), byID(got)); diff != "" {
				t.Fatalf("step %d (-policy +set):\n%s", pos, diff)
			}
			checkSame(t, policy, states, set)
		}
	})
}

func byID(ts []trigger.Trigger) map[string]trigger.Trigger {
	m := map[string]trigger.Trigger{}
	for _, t := range ts {
		t = t.WithID()
		m[t.ID] = t
	}
	return m
}

func checkSame(t *rapid.T, policy *refreshpolicy.Policy, states map[string]*refreshpolicy.State, set *listeners.Set) {
	t.Helper()
	var next time.Time
	var oldest uint64
	left, owed := 0, false
	for _, s := range states {
		if at, ok := policy.Next(s); ok {
			if left == 0 || at.Before(next) {
				next = at
			}
			left++
		}
		if pos, ok := policy.OldestPos(s); ok {
			if !owed || pos < oldest {
				oldest = pos
			}
			owed = true
		}
	}
	gotNext, ok := set.Next()
	gotOldest, gotOwed := set.OldestPos()
	if set.Len() != left || ok != (left > 0) || !gotNext.Equal(next) || gotOwed != owed || gotOldest != oldest {
		t.Fatalf("%d listeners, next %v, oldest %d %v: want %d, %v, %d %v", set.Len(), gotNext, gotOldest, gotOwed, left, next, oldest, owed)
	}
}

func TestAdvanceInOrderUntilAnError(t *testing.T) {
	set := listeners.New(newPolicy(t))
	for i, user := range []string{"cy", "bob", "ann"} {
		set.Add(event.Event{ID: user, Kind: event.Played, User: user, Object: "t", Time: epoch.Add(-time.Duration(i%2) * time.Millisecond)}, 1)
	}
	var users []string
	full := errors.New("full")
	err := set.Advance(epoch.Add(2*time.Millisecond), func(fired []trigger.Trigger) error {
		users = append(users, fired[0].User)
		if len(users) == 2 {
			return full
		}
		return nil
	})
	if diff := cmp.Diff([]string{"bob", "ann"}, users); diff != "" || !errors.Is(err, full) {
		t.Errorf("Advance until an error (-want +got), %v:\n%s", err, diff)
	}
	if err := set.Restore("dan", []byte{99}); err == nil {
		t.Error("Restore of what is no state: want an error")
	}
}
