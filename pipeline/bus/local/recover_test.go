package local

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
)

func open(t *testing.T, dir string) *Bus {
	t.Helper()
	b, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return b
}

func publishN(t *testing.T, b *Bus, n int) {
	t.Helper()
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i].Data = []byte{byte(i)}
	}
	if err := b.Publish(t.Context(), event.Played.Topic(), msgs...); err != nil {
		t.Fatal(err)
	}
}

// TestFloorBehindTheEnd stands for a loss of power that took the end of the stream and left the floor: what is
// published next must be read.
func TestFloorBehindTheEnd(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	publishN(t, b, 3)
	l, err := b.OpenLog(t.Context(), "l", event.Topics())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetFloor(t.Context(), position(1000, 0)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, dir)
	publishN(t, b, 2)
	if l, err = b.OpenLog(t.Context(), "l", event.Topics()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Floor() != lastOf(1) {
		t.Errorf("Floor %d, want the end of the stream at opening, %d", l.Floor(), lastOf(1))
	}
	readPositions(t, l, position(2, 0), position(2, 1))
}

// TestLogOutlivesItsConsumer: the server may forget a log's consumer at any time, and messages of it may get lost on
// the way; both cost nothing but another consumer.
func TestLogOutlivesItsConsumer(t *testing.T) {
	b := open(t, t.TempDir())
	opened, err := b.OpenLog(t.Context(), "l", event.Topics())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	l := opened.(*log)
	publishN(t, b, 2)
	readPositions(t, l, position(1, 0), position(1, 1))

	if err := l.stream.DeleteConsumer(t.Context(), l.consumer); err != nil {
		t.Fatal(err)
	}
	publishN(t, b, 2)
	readPositions(t, l, position(2, 0), position(2, 1))

	l.next-- // as if the next message had one sequence too many: one in between was lost
	publishN(t, b, 2)
	readPositions(t, l, position(3, 0), position(3, 1))
}

func readPositions(t *testing.T, l bus.Log, want ...uint64) {
	t.Helper()
	var got []uint64
	for len(got) < len(want) {
		entries, err := l.Read(t.Context(), len(want)-len(got))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, e.Pos)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("positions (-want +read):\n%s", diff)
	}
}

// FuzzEnvelope: what toNATS accepts comes back as it was.
func FuzzEnvelope(f *testing.F) {
	f.Add("event-1", "listener-1", int64(1_700_000_000_000), []byte("data"), "reason", "bad\r\n ä")
	f.Add("", "", int64(0), []byte{}, "", "")
	f.Add("a/b: c", "song-played/x", int64(-5), []byte{0xff}, "\x00", "{}")
	f.Fuzz(func(t *testing.T, id, key string, ms int64, data []byte, name, value string) {
		// RFC 3339's years, which every bus can carry.
		ms %= time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
		published := time.UnixMilli(77).UTC()
		want := bus.Message{ID: id, Key: key, Time: time.UnixMilli(ms).UTC(), Data: data}
		if name != "" {
			want.Attributes = map[string]string{name: value}
		}
		if err := valid(&want); err != nil {
			if fitsHeader(id) && fitsHeader(key) && len(data) <= bus.MaxData {
				t.Fatalf("refused a message that fits: %v", err)
			}
			return
		}
		m, err := toNATS("song-played", &want)
		if err != nil {
			t.Fatal(err)
		}
		wire := nats.Msg{Subject: m.Subject, Data: m.Data}
		if len(m.Header) > 0 {
			wire.Header = throughWire(t, m.Header)
		}
		got := fromNATS(&wire, published)
		if name != "" { // JSON replaces what is not UTF-8
			want.Attributes, got.Attributes = nil, nil
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-sent +received):\n%s", diff)
		}
	})
}

// throughWire writes a header as the client does and reads it as the client does.
func throughWire(t *testing.T, h nats.Header) nats.Header {
	t.Helper()
	wire := []byte("NATS/1.0\r\n")
	for name, values := range h {
		wire = append(wire, name+": "+values[0]+"\r\n"...)
	}
	got, err := nats.DecodeHeadersMsg(append(wire, "\r\n"...))
	if err != nil {
		t.Fatalf("header %v can't be read back: %v", h, err)
	}
	return got
}

// FuzzFromNATS: headers that others wrote don't make reading panic, and leave the data as it is.
func FuzzFromNATS(f *testing.F) {
	f.Add("song-played/1", "k", "17", `{"a":"b"}`)
	f.Add("", "", "x", "{")
	f.Fuzz(func(t *testing.T, id, key, ms, attributes string) {
		m := nats.Msg{Subject: "song-played", Data: []byte("data"), Header: nats.Header{
			idHeader: {id}, keyHeader: {key}, timeHeader: {ms}, attributesHeader: {attributes},
		}}
		if got := fromNATS(&m, time.Now()); string(got.Data) != "data" {
			t.Errorf("data became %q", got.Data)
		}
	})
}
