package local

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"homefeed/pipeline/bus"
)

var published = time.UnixMilli(77).UTC()

// unpack is what a log makes of packs that are all there is in its stream.
func unpack(packs []*nats.Msg, after uint64) []bus.Entry {
	var got []bus.Entry
	for i, p := range packs {
		got = appendEntries(got, p, uint64(i+1), after, published)
	}
	return got
}

// TestPack: everything comes back as it was and in its order, in few packs, from any position on.
func TestPack(t *testing.T) {
	var want []bus.Message
	for i := range 10_000 {
		want = append(want, bus.Message{
			ID: fmt.Sprintf("event-%d", i), Key: fmt.Sprintf("listener-%d", i%7), Time: time.UnixMilli(int64(i*i - 500)).UTC(),
			Data: bytes.Repeat([]byte{byte(i)}, i%300),
		})
	}
	want[3] = bus.Message{Time: published}
	want[5].Attributes = map[string]string{"reason": "a\r\nb"}
	want[6].Data = make([]byte, bus.MaxData)
	packs, err := pack("song-played", want)
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) > 100 {
		t.Errorf("%d packs of 10,000 small messages, want about 60", len(packs))
	}
	got := unpack(packs, 0)
	for i := range got {
		if i > 0 && got[i].Pos <= got[i-1].Pos {
			t.Fatalf("position %d behind %d, want rising", got[i].Pos, got[i-1].Pos)
		}
		if diff := cmp.Diff(want[i], got[i].Message, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("message %d (-packed +unpacked):\n%s", i, diff)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for _, from := range []int{1, 2, 140, 5000, 9999} {
		if behind := unpack(packs, got[from-1].Pos); len(behind) != len(want)-from || behind[0].ID != got[from].ID {
			t.Errorf("behind message %d there are %d, want %d", from, len(behind), len(want)-from)
		}
	}
}

func TestPackTimes(t *testing.T) {
	for _, ms := range []int64{0, 1, -1, math.MaxInt64 / 4, math.MinInt64 / 4} {
		packs, err := pack("t", []bus.Message{{Time: time.UnixMilli(ms)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := unpack(packs, 0)[0].Time.UnixMilli(); got != ms {
			t.Errorf("time %d came back as %d", ms, got)
		}
	}
}

// FuzzUnpack: whatever a pack holds, reading it doesn't panic, positions rise, and no byte of a damaged one gets lost.
func FuzzUnpack(f *testing.F) {
	good, err := pack("t", []bus.Message{{ID: "a", Key: "k", Time: published, Data: []byte("one")}, {ID: "b", Data: []byte("two")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("2", good[0].Data)
	f.Add("3", good[0].Data)
	f.Add("1", good[0].Data)
	f.Add("4097", []byte{})
	f.Add("2", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, count string, data []byte) {
		m := &nats.Msg{Subject: "t", Header: nats.Header{packedHeader: {count}}, Data: data}
		got := unpack([]*nats.Msg{m}, 0)
		for i, e := range got {
			if i > 0 && e.Pos <= got[i-1].Pos {
				t.Fatalf("position %d behind %d", e.Pos, got[i-1].Pos)
			}
		}
		if len(got) == 0 {
			t.Fatal("a message became nothing")
		}
		if damaged := len(got) < packed(m); damaged && !bytes.HasSuffix(data, got[len(got)-1].Data) {
			t.Error("the rest of a damaged pack is not handed on")
		}
	})
}
