package trigger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/trigger"
)

var now = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func ofListener() trigger.Trigger {
	return trigger.Trigger{
		User: "ann", Cause: trigger.Streaming, FireTime: now.Add(time.Second),
		Due: []trigger.Due{
			{Shelf: "a", First: trigger.Ref{ID: "1", Time: now}, Last: trigger.Ref{ID: "2", Time: now.Add(time.Millisecond)}, Count: 2},
			{Shelf: "b", First: trigger.Ref{ID: "1", Time: now}, Last: trigger.Ref{ID: "1", Time: now}, Count: 1},
		},
	}
}

func ofMarket() trigger.Trigger {
	return trigger.Trigger{
		Market: trigger.World, Cause: trigger.Streaming, FireTime: now,
		Due: []trigger.Due{{Shelf: "trending", First: trigger.Ref{ID: "1", Time: now}, Last: trigger.Ref{ID: "9", Time: now}, Count: 5}},
		Top: []trigger.TrackCount{{Track: "t1", Plays: 3}, {Track: "t2", Plays: 2}},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, tr := range []trigger.Trigger{ofListener().WithID(), ofMarket().WithID()} {
		b, err := trigger.Encode(tr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := trigger.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tr, got); diff != "" {
			t.Errorf("Decode(Encode) (-want +got):\n%s", diff)
		}
	}
}

func TestKeyAndAsOf(t *testing.T) {
	listener, market := ofListener(), ofMarket()
	if got := listener.Key(); got != "ann" {
		t.Errorf("key of a listener's trigger: %q: want ann", got)
	}
	if got := market.Key(); got != "market:001" {
		t.Errorf("key of a market's trigger: %q: want market:001", got)
	}
	if got := listener.AsOf(); !got.Equal(now.Add(time.Millisecond)) {
		t.Errorf("as-of %v: want that of the newest event", got)
	}
}

// The id covers the whole content: a change of anything changes it, and nothing else does.
func TestIDCoversContent(t *testing.T) {
	base := ofMarket()
	seen := map[string]string{base.WithID().ID: "the same"}
	if base.WithID().WithID().ID != base.WithID().ID {
		t.Error("the id depends on an id that was there")
	}
	changes := map[string]func(*trigger.Trigger){
		"user":        func(t *trigger.Trigger) { t.User = "ann" },
		"market":      func(t *trigger.Trigger) { t.Market = "GB" },
		"cause":       func(t *trigger.Trigger) { t.Cause = trigger.Batch },
		"fire time":   func(t *trigger.Trigger) { t.FireTime = t.FireTime.Add(time.Millisecond) },
		"shelf":       func(t *trigger.Trigger) { t.Due[0].Shelf = "x" },
		"first event": func(t *trigger.Trigger) { t.Due[0].First.ID = "x" },
		"first time":  func(t *trigger.Trigger) { t.Due[0].First.Time = now.Add(-time.Second) },
		"last event":  func(t *trigger.Trigger) { t.Due[0].Last.ID = "x" },
		"last time":   func(t *trigger.Trigger) { t.Due[0].Last.Time = now.Add(time.Second) },
		"count":       func(t *trigger.Trigger) { t.Due[0].Count++ },
		"track":       func(t *trigger.Trigger) { t.Top[0].Track = "x" },
		"plays":       func(t *trigger.Trigger) { t.Top[0].Plays++ },
		"another due": func(t *trigger.Trigger) { t.Due = append(t.Due, t.Due[0]) },
	}
	for what, change := range changes {
		tr := ofMarket()
		change(&tr)
		id := tr.WithID().ID
		if other, taken := seen[id]; taken {
			t.Errorf("the id of another %s is that of %s", what, other)
		}
		seen[id] = what
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := map[string]func(*trigger.Trigger){
		"id":                        func(t *trigger.Trigger) { t.ID = "" },
		"exactly one of user and m": func(t *trigger.Trigger) { t.Market = "GB" },
		"want exactly one of user":  func(t *trigger.Trigger) { t.User = "" },
		"no shelf is due":           func(t *trigger.Trigger) { t.Due = nil },
	}
	for want, spoil := range tests {
		tr := ofListener().WithID()
		spoil(&tr)
		b, err := trigger.Encode(tr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trigger.Decode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode: error %v: want one with %q", err, want)
		}
	}
}

// Whatever the bytes: no panic, and what is accepted travels unchanged.
func FuzzDecode(f *testing.F) {
	for _, tr := range []trigger.Trigger{ofListener().WithID(), ofMarket().WithID()} {
		b, err := trigger.Encode(tr)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := trigger.Decode(b)
		if err != nil {
			return
		}
		again, err := trigger.Encode(tr)
		if err != nil {
			t.Fatalf("encoding what Decode accepted: %v", err)
		}
		got, err := trigger.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tr, got); diff != "" {
			t.Fatalf("decoded again (-first +again):\n%s", diff)
		}
	})
}
