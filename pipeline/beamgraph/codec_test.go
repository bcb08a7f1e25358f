package beamgraph

import (
	"encoding/binary"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

var (
	texts      = rapid.StringN(0, 12, -1)
	blobs      = rapid.SliceOfN(rapid.Byte(), 0, 20)
	attributes = rapid.MapOfN(texts, texts, 0, 3)
	times      = rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMilli(rapid.Int64Range(-1e15, 1e15).Draw(t, "ms")).UTC()
	})
	anyReceipts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) source.Receipt {
		return source.Receipt{Pos: rapid.Uint64().Draw(t, "pos"), Handle: texts.Draw(t, "handle")}
	}), 0, 5)
)

// same is equality but for empty slices and maps, which decode as nil.
func same(t *rapid.T, what string, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s changed on the way (-want +got):\n%s", what, diff)
	}
}

func TestCodersKeepEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := source.Message{
			Topic: texts.Draw(t, "topic"), Data: blobs.Draw(t, "data"), Time: times.Draw(t, "time"),
			Attributes: attributes.Draw(t, "attributes"), Attempt: rapid.IntRange(0, 9).Draw(t, "attempt"),
			Receipt: source.Receipt{Pos: rapid.Uint64().Draw(t, "pos"), Handle: texts.Draw(t, "handle")},
		}
		message, err := decodeMessage(encodeMessage(m))
		same(t, "message", m, message, err)

		o := Outcome{Topic: m.Topic, Receipts: anyReceipts.Draw(t, "receipts")}
		for range rapid.IntRange(0, 3).Draw(t, "messages") {
			o.Messages = append(o.Messages, bus.Message{
				ID: texts.Draw(t, "id"), Key: texts.Draw(t, "key"), Time: times.Draw(t, "time"), Data: blobs.Draw(t, "data"),
				Attributes: attributes.Draw(t, "attributes"),
			})
		}
		outcome, err := decodeOutcome(encodeOutcome(o))
		same(t, "outcome", o, outcome, err)

		ref := trigger.Ref{ID: texts.Draw(t, "id"), Time: times.Draw(t, "time")}
		tally := trends.Tally{Count: rapid.Int64().Draw(t, "count"), First: ref, Last: ref,
			Plays: rapid.MapOfN(texts, rapid.Int64(), 0, 3).Draw(t, "plays")}
		counted, err := decodeTally(encodeTally(tally))
		same(t, "tally", tally, counted, err)
	})
}

func TestPackKeepsEventsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pack := binary.AppendVarint(nil, -7)
		want, got := map[string][]packed{}, map[string][]packed{}
		for user := range rapid.IntRange(0, 3).Draw(t, "listeners") {
			var events []byte
			for range rapid.IntRange(1, 5).Draw(t, "events") {
				p := packed{texts.Draw(t, "id"), event.Kind(rapid.Byte().Draw(t, "kind")), rapid.Int64Range(0, 1e15).Draw(t, "at"),
					source.Receipt{Pos: rapid.Uint64().Draw(t, "pos"), Handle: texts.Draw(t, "handle")}}
				want[strconv.Itoa(user)] = append(want[strconv.Itoa(user)], p)
				events = appendPacked(events, p)
			}
			pack = appendPack(pack, strconv.Itoa(user), events)
		}
		first, err := unpack(pack, func(user string, events []byte) error {
			return unpackEvents(events, user, func(e event.Event, r source.Receipt) {
				got[e.User] = append(got[e.User], packed{e.ID, e.Kind, e.Time.UnixMilli(), r})
			})
		})
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(packed{})); err != nil || diff != "" || first != -7 {
			t.Fatalf("first %d, want -7; %v (-want +got):\n%s", first, err, diff)
		}
	})
}

// FuzzDecode: whatever the bytes, no decoder panics or takes much memory, and what one accepts it writes again.
func FuzzDecode(f *testing.F) {
	f.Add(encodeMessage(source.Message{Topic: "t", Data: []byte("d"), Attributes: map[string]string{"a": "b"}}))
	f.Add(encodeOutcome(Outcome{Topic: "t", Messages: []bus.Message{{ID: "i"}}}))
	f.Add(encodeTally(trends.Tally{Count: 1, Plays: map[string]int64{"x": 1}}))
	f.Add(appendPack([]byte{2}, "ann", appendPacked(nil, packed{id: "e", kind: event.Played, at: 1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMessage(b); err == nil {
			if again, err := decodeMessage(encodeMessage(m)); err != nil || !cmp.Equal(m, again, cmpopts.EquateEmpty()) {
				t.Errorf("message %+v became %+v, %v", m, again, err)
			}
		}
		if o, err := decodeOutcome(b); err == nil {
			if again, err := decodeOutcome(encodeOutcome(o)); err != nil || !cmp.Equal(o, again, cmpopts.EquateEmpty()) {
				t.Errorf("outcome %+v became %+v, %v", o, again, err)
			}
		}
		if y, err := decodeTally(b); err == nil {
			if again, err := decodeTally(encodeTally(y)); err != nil || !cmp.Equal(y, again, cmpopts.EquateEmpty()) {
				t.Errorf("tally %+v became %+v, %v", y, again, err)
			}
		}
		_, _ = unpack(b, func(user string, events []byte) error {
			return unpackEvents(events, user, func(event.Event, source.Receipt) {})
		})
	})
}

func TestEndlessTracker(t *testing.T) {
	tracker := &endlessTracker{}
	if !tracker.TryClaim(claim{}) || tracker.IsDone() || tracker.IsBounded() {
		t.Error("a new tracker: want it to claim, and neither done nor bounded")
	}
	if _, residual, err := tracker.TrySplit(0.5); residual != nil || err != nil {
		t.Errorf("a split in the middle gave %v, %v; want it refused", residual, err)
	}
	primary, residual, err := tracker.TrySplit(0)
	if err != nil || primary != (endless{Done: true}) || residual != (endless{}) {
		t.Errorf("a checkpoint gave %v and %v, %v; want a finished primary and all the rest", primary, residual, err)
	}
	if !tracker.IsDone() || tracker.TryClaim(claim{}) || tracker.GetError() != nil {
		t.Error("after a checkpoint: want it done, without claims or error")
	}
	for _, r := range []endless{{}, {Done: true}} {
		if got := decodeEndless(encodeEndless(r)); got != r {
			t.Errorf("%v became %v", r, got)
		}
	}
}

func TestMemoryCountsAPlayOnce(t *testing.T) {
	c := trends.Config{Length: 10 * time.Minute, Lateness: time.Minute}.WithDefaults()
	var m memory
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	play := func(after time.Duration) event.Event {
		return event.Event{ID: "e", Kind: event.Played, User: "ann", Object: "t1", Time: at.Add(after)}
	}
	if m.before(play(0), c) || !m.before(play(0), c) {
		t.Error("the first time: want false, the second: true")
	}
	if m.before(play(5*time.Minute), c) || !m.before(play(0), c) {
		t.Error("a play within the windows was forgotten")
	}
	if m.before(play(time.Hour), c) || m.plays != 1 {
		t.Errorf("%d plays remembered, want only that of the new hour", m.plays)
	}
	c.MaxRemembered = 1
	if m.before(play(time.Hour+time.Second), c) || m.plays != 1 {
		t.Errorf("%d plays remembered, want no more than MaxRemembered", m.plays)
	}
}
