package homewire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"homefeed/api/homepb"
	"homefeed/api/homewire"
	"homefeed/shelves/shelfpb"
)

// drawShelf draws any shelf, header and all.
func drawShelf(t *rapid.T) *shelfpb.Shelf {
	text := rapid.StringN(0, 20, 80)
	s := &shelfpb.Shelf{
		Name: text.Draw(t, "name"), Title: text.Draw(t, "title"),
		Status:     shelfpb.Status(rapid.Int32Range(0, 5).Draw(t, "status")),
		AgeSeconds: rapid.Int64().Draw(t, "age"),
		TitleArgs:  rapid.MapOfN(text, text, 0, 4).Draw(t, "args"),
		Trigger:    text.Draw(t, "trigger"),
	}
	if rapid.Bool().Draw(t, "has as-of") {
		s.AsOf = timestamppb.New(time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "as-of")))
	}
	for range rapid.IntRange(0, 5).Draw(t, "cards") {
		s.Cards = append(s.Cards, &shelfpb.Card{
			Uri: text.Draw(t, "uri"), Title: text.Draw(t, "card title"), Reason: text.Draw(t, "reason"),
			Image: &shelfpb.Image{Template: text.Draw(t, "template"), Colors: []string{"#123456"}},
		})
	}
	return s
}

// split is the shelf as its two writers see it: the API's header and the runner's cell.
func split(t rapid.TB, s *shelfpb.Shelf) (homewire.Header, []byte) {
	h := homewire.Header{Name: s.Name, Title: s.Title, Status: s.Status, AgeSeconds: s.AgeSeconds}
	c := proto.CloneOf(s)
	c.Name, c.Title, c.Status, c.AgeSeconds = "", "", 0, 0
	cell, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return h, cell
}

// TestJoin holds that joined bytes decode to what proto messages would have said.
func TestJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &homepb.Home{Shelves: rapid.SliceOfN(rapid.Custom(drawShelf), 0, 5).Draw(t, "shelves")}
		var joined []byte
		for _, s := range want.Shelves {
			h, cell := split(t, s)
			joined = homewire.AppendToHome(joined, h, cell)

			alone := new(shelfpb.Shelf)
			if err := proto.Unmarshal(homewire.AppendShelf(nil, h, cell), alone); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s, alone, protocmp.Transform()); diff != "" {
				t.Errorf("one shelf (-want +got):\n%s", diff)
			}
			n, err := homewire.Cards(cell)
			if err != nil || n != len(s.Cards) {
				t.Errorf("Cards = %d, %v; want %d", n, err, len(s.Cards))
			}
			for name, want := range s.TitleArgs {
				if got, ok := homewire.TitleArg(cell, name); !ok || got != want {
					t.Errorf("TitleArg(%q) = %q, %v; want %q", name, got, ok, want)
				}
			}
		}
		got := new(homepb.Home)
		if err := proto.Unmarshal(joined, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("Home (-want +got):\n%s", diff)
		}
	})
}

func TestCardsRefuses(t *testing.T) {
	good, err := proto.Marshal(&shelfpb.Shelf{Cards: []*shelfpb.Card{{Uri: "track:a"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, cell := range map[string][]byte{
		"a name":           append(protowire.AppendString([]byte{1<<3 | 2}, "other"), good...),
		"an age":           append(good[:len(good):len(good)], 4<<3, 7),
		"half a card":      good[:len(good)-1],
		"a length too far": {7<<3 | 2, 0xff, 0x7f},
		"no field":         {0},
		"an endless group": {9<<3 | 3},
	} {
		if n, err := homewire.Cards(cell); err == nil {
			t.Errorf("%s: Cards = %d and no error", name, n)
		}
	}
	if n, err := homewire.Cards(nil); n != 0 || err != nil {
		t.Errorf("an empty cell: Cards = %d, %v; want 0 and no error", n, err)
	}
}

// FuzzScan holds that, for bytes from anywhere, the scanner never panics and agrees with the real decoder
// whenever that accepts them, and that a cell the scanner accepts can't change the header.
func FuzzScan(f *testing.F) {
	whole, err := proto.Marshal(&shelfpb.Shelf{
		TitleArgs: map[string]string{"artist": "Mozart", "": "x"}, AsOf: timestamppb.New(time.Unix(1, 0)),
		Cards: []*shelfpb.Card{{Uri: "track:a", Title: "A"}, {}}, Trigger: "t",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(append(whole[:len(whole):len(whole)], whole...)) // the same argument twice, out of order
	f.Add([]byte{5<<3 | 2, 2, 1<<3 | 2, 5})                // an argument that is cut off
	f.Add([]byte{5<<3 | 2, 4, 1 << 3, 1, 2 << 3, 1})       // an argument of the wrong types
	f.Fuzz(func(t *testing.T, cell []byte) {
		n, scanErr := homewire.Cards(cell)
		decoded := new(shelfpb.Shelf)
		if err := proto.Unmarshal(cell, decoded); err != nil {
			homewire.TitleArg(cell, "artist")
			return
		}
		clean := decoded.Name == "" && decoded.Title == "" && decoded.Status == 0 && decoded.AgeSeconds == 0
		if scanErr != nil {
			if clean && !hasHeader(cell) {
				t.Fatalf("refused what decodes: %v", scanErr)
			}
			return
		}
		if !clean || n != len(decoded.Cards) {
			t.Fatalf("Cards = %d for %v", n, decoded)
		}
		for name, want := range decoded.TitleArgs {
			if got, ok := homewire.TitleArg(cell, name); !ok || got != want {
				t.Fatalf("TitleArg(%q) = %q, %v; want %q", name, got, ok, want)
			}
		}
		if _, there := decoded.TitleArgs["absent"]; !there {
			if got, ok := homewire.TitleArg(cell, "absent"); ok {
				t.Fatalf("TitleArg of a missing name = %q", got)
			}
		}
	})
}

// hasHeader looks for a header's field of any type, even one that decodes to its zero value.
func hasHeader(cell []byte) bool {
	for len(cell) > 0 {
		num, kind, n := protowire.ConsumeTag(cell)
		m := protowire.ConsumeFieldValue(num, kind, cell[n:])
		if num <= 4 {
			return true
		}
		cell = cell[n+m:]
	}
	return false
}

func BenchmarkCards(b *testing.B) {
	s := &shelfpb.Shelf{AsOf: timestamppb.New(time.Unix(1, 0))}
	for i := range 20 {
		s.Cards = append(s.Cards, &shelfpb.Card{Uri: fmt.Sprint("track:", i), Title: "A title", Reason: "Because"})
	}
	cell, err := proto.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if n, err := homewire.Cards(cell); n != 20 || err != nil {
			b.Fatal(n, err)
		}
	}
}
