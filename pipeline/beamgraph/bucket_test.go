package beamgraph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/shelves/shelf"
)

func onePolicy(t testing.TB) *refreshpolicy.Policy {
	t.Helper()
	p, err := refreshpolicy.New([]*shelf.Shelf{{
		Name: "quick", Doc: "d", Guard: shelf.Guard{Freshness: 2 * time.Second},
		Fill: func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil },
	}}, refreshpolicy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// say is what a bucket has of each listener.
func say(t testing.TB, p *refreshpolicy.Policy, b *bucket) map[string]string {
	t.Helper()
	said := map[string]string{}
	for user := range b.listeners {
		l, err := b.listener(p, user)
		if err != nil {
			t.Fatal(err)
		}
		said[user] = fmt.Sprintf("%d %v %x", l.next, l.receipts, p.Encode(&l.state))
	}
	return said
}

// Whatever happens to listeners, what is read from the bag, in whatever order it lies there, is what was written.
func TestBucketInABag(t *testing.T) {
	p := onePolicy(t)
	rapid.Check(t, func(rt *rapid.T) {
		var bag [][]byte
		b, err := decodeBucket(nil)
		if err != nil {
			rt.Fatal(err)
		}
		for step := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				user := rapid.SampledFrom([]string{"ann", "bob", "cleo", "dan"}).Draw(rt, "user")
				l, err := b.listener(p, user)
				if err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "served") {
					b.remove(user)
					continue
				}
				id := fmt.Sprint("e", step)
				p.Add(&l.state, event.Event{ID: id, Kind: event.Played, User: user, Time: time.UnixMilli(int64(step))}, uint64(step))
				l.receipts = append(l.receipts, source.Receipt{Pos: uint64(step), Handle: id})
				l.next = int64(step)
				b.change(user, p.Encode(&l.state))
			}
			if len(b.listeners) > 0 {
				b.armed = int64(rapid.IntRange(1, 9).Draw(rt, "armed"))
			}
			write, anew := b.encode()
			if anew {
				bag = nil
			}
			if write != nil {
				bag = append(bag, write)
			}
			again, err := decodeBucket(rapid.Permutation(bag).Draw(rt, "bag"))
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(say(t, p, b), say(t, p, again)); diff != "" || again.armed != b.armed {
				rt.Fatalf("armed for %d, want %d; listeners (-want +got):\n%s", again.armed, b.armed, diff)
			}
			if again.whole != b.whole || again.written != b.written {
				rt.Fatalf("%d bytes of %d, want %d of %d", again.whole, again.written, b.whole, b.written)
			}
			if rapid.Bool().Draw(rt, "read again") {
				b = again
			}
		}
	})
}

// A bag grows to about twice what is in it, and is empty when nothing is.
func TestBagStaysSmall(t *testing.T) {
	p := onePolicy(t)
	b, err := decodeBucket(nil)
	if err != nil {
		t.Fatal(err)
	}
	size, largest := 0, 0
	for step := range 1000 {
		l, err := b.listener(p, "ann")
		if err != nil {
			t.Fatal(err)
		}
		p.Add(&l.state, event.Event{ID: "e", Kind: event.Played, Time: time.UnixMilli(int64(step))}, 1)
		b.change("ann", p.Encode(&l.state))
		write, anew := b.encode()
		if anew {
			size = 0
		}
		size += len(write)
		largest = max(largest, size)
	}
	if largest > 2*slack {
		t.Errorf("the bag of one listener grew to %d bytes, want at most %d", largest, 2*slack)
	}
	b.remove("ann")
	if write, anew := b.encode(); write != nil || !anew {
		t.Errorf("of an empty bucket %d bytes are added, and cleared: %v; want nothing in a clear bag", len(write), anew)
	}
	if write, anew := b.encode(); write != nil || anew {
		t.Error("an empty bucket was cleared twice")
	}
}

func TestDueInOrder(t *testing.T) {
	b := &bucket{listeners: map[string]*listener{"ann": {next: 3}, "bob": {next: 1}, "cleo": {next: 9}, "dan": {next: 1}}}
	if got := b.due(3); !slices.Equal(got, []string{"bob", "dan", "ann"}) {
		t.Errorf("due: %v, want bob, dan, ann", got)
	}
	if next, waiting := b.next(); next != 1 || !waiting {
		t.Errorf("next: %d, %v; want 1", next, waiting)
	}
	if _, waiting := (&bucket{}).next(); waiting {
		t.Error("an empty bucket waits for something")
	}
}

func TestKeys(t *testing.T) {
	if got := keyOf("ann", 0); got != "ann" {
		t.Errorf("key %q, want the listener", got)
	}
	keys := map[string]bool{}
	for i := range 200 {
		keys[keyOf(fmt.Sprint("user", i), 4)] = true
	}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("keys %v, want 0 to 3", got)
	}
}

// FuzzDecodeBucket: whatever the bytes, decoding neither panics nor takes much memory, and what it accepts it writes
// again.
func FuzzDecodeBucket(f *testing.F) {
	p := onePolicy(f)
	b, err := decodeBucket(nil)
	if err != nil {
		f.Fatal(err)
	}
	l, err := b.listener(p, "ann")
	if err != nil {
		f.Fatal(err)
	}
	p.Add(&l.state, event.Event{ID: "e", Kind: event.Played, Time: time.UnixMilli(5)}, 1)
	b.change("ann", p.Encode(&l.state))
	write, _ := b.encode()
	f.Add(write)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		b, err := decodeBucket([][]byte{bytes})
		if err != nil {
			return
		}
		for user := range b.listeners {
			b.changed[user] = true
		}
		write, _ := b.encode()
		if len(b.listeners) == 0 {
			return
		}
		again, err := decodeBucket([][]byte{write})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, again, cmp.AllowUnexported(bucket{}, listener{}, refreshpolicy.State{}),
			cmpopts.EquateEmpty(), cmpopts.IgnoreFields(bucket{}, "written")); diff != "" {
			t.Fatalf("the bucket changed on the way (-want +got):\n%s", diff)
		}
	})
}
