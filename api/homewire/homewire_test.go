package homewire_test

import (
	"fmt"
	"slices"
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
		Component:  shelfpb.Component(rapid.Int32Range(0, 4).Draw(t, "component")), NextPageToken: text.Draw(t, "next page"),
	}
	if rapid.Bool().Draw(t, "has as-of") {
		s.AsOf = timestamppb.New(time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "as-of")))
	}
	for range rapid.IntRange(0, 5).Draw(t, "cards") {
		s.Cards = append(s.Cards, &shelfpb.Card{
			Uri: rapid.StringN(1, 20, 80).Draw(t, "uri"), Artist: text.Draw(t, "artist"), Title: text.Draw(t, "card title"), Reason: text.Draw(t, "reason"),
			Image: &shelfpb.Image{Template: text.Draw(t, "template"), Colors: []string{"#123456"}},
		})
	}
	return s
}

// split is the shelf as its two writers see it: the API's header and the runner's cell.
func split(t rapid.TB, s *shelfpb.Shelf) (homewire.Header, []byte) {
	h := homewire.Header{
		Name: s.Name, Title: []byte(s.Title), Status: s.Status, AgeSeconds: s.AgeSeconds, Component: s.Component, NextPageToken: s.NextPageToken,
	}
	c := proto.CloneOf(s)
	c.Name, c.Title, c.Status, c.AgeSeconds, c.Component, c.NextPageToken = "", "", 0, 0, 0, ""
	for _, card := range c.Cards {
		card.Context = ""
	}
	cell, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return h, cell
}

// TestJoin holds that joined bytes decode to what proto messages would have said.
func TestJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &homepb.Home{
			Shelves:       rapid.SliceOfN(rapid.Custom(drawShelf), 0, 5).Draw(t, "shelves"),
			NextPageToken: rapid.String().Draw(t, "next page"), NewerAvailable: rapid.Bool().Draw(t, "newer"),
			Degraded: rapid.Bool().Draw(t, "degraded"),
		}
		contexts := rapid.Bool().Draw(t, "contexts")
		var joined []byte
		for _, s := range want.Shelves {
			h, cell := split(t, s)
			var parts homewire.Parts
			if err := parts.Add(cell); err != nil {
				t.Fatal(err)
			}
			if string(parts.Trigger) != s.Trigger || len(parts.Cards) != len(s.Cards) {
				t.Fatalf("%+v of %v", parts, s)
			}
			wire := &homewire.Shelf{Header: h, Meta: parts.Meta, Cards: parts.Cards}
			for i, card := range s.Cards {
				if got := parts.Cards[i]; string(got.URI) != card.Uri || string(got.Artist()) != card.Artist {
					t.Errorf("card %d: %q by %q, want %q by %q", i, got.URI, got.Artist(), card.Uri, card.Artist)
				}
				if contexts {
					card.Context = fmt.Sprintf("context-%03d", i)
				}
			}
			if contexts {
				wire.Contexts = numbered{}
			}
			joined = homewire.AppendToHome(joined, wire)

			alone := new(shelfpb.Shelf)
			if err := proto.Unmarshal(homewire.AppendShelf(nil, wire), alone); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s, alone, protocmp.Transform()); diff != "" {
				t.Errorf("one shelf (-want +got):\n%s", diff)
			}
			for name, want := range s.TitleArgs {
				if got, ok := homewire.TitleArg(parts.Meta, name); !ok || string(got) != want {
					t.Errorf("TitleArg(%q) = %q, %v; want %q", name, got, ok, want)
				}
			}
		}
		joined = homewire.AppendTrailer(joined, homewire.Trailer{
			NextPageToken: want.NextPageToken, Newer: want.NewerAvailable, Degraded: want.Degraded,
		})
		got := new(homepb.Home)
		if err := proto.Unmarshal(joined, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("Home (-want +got):\n%s", diff)
		}
	})
}

func TestAddRefuses(t *testing.T) {
	good, err := proto.Marshal(&shelfpb.Shelf{Cards: []*shelfpb.Card{{Uri: "track:a"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, cell := range map[string][]byte{
		"a name":           append(protowire.AppendString([]byte{1<<3 | 2}, "other"), good...),
		"an age":           append(good[:len(good):len(good)], 4<<3, 7),
		"a component":      append(good[:len(good):len(good)], 0x80, 1, 1),
		"half a card":      good[:len(good)-1],
		"a length too far": {7<<3 | 2, 0xff, 0x7f},
		"no field":         {0},
		"an endless group": {9<<3 | 3},
		"a card of noise":  {7<<3 | 2, 2, 0xff, 0xff},
		"a card, no uri":   {7<<3 | 2, 0},
	} {
		var p homewire.Parts
		if err := p.Add(cell); err == nil {
			t.Errorf("%s: %+v and no error", name, p)
		}
	}
	var p homewire.Parts
	if err := p.Add(nil); err != nil || len(p.Cards)+len(p.Meta) != 0 {
		t.Errorf("an empty cell: %+v, %v; want nothing and no error", p, err)
	}
}

// FuzzAdd holds that, for bytes from anywhere, the scanner never panics and agrees with the real decoder
// whenever that accepts them, and that a cell the scanner accepts can't change the header.
func FuzzAdd(f *testing.F) {
	whole, err := proto.Marshal(&shelfpb.Shelf{
		TitleArgs: map[string]string{"artist": "Mozart", "": "x"}, AsOf: timestamppb.New(time.Unix(1, 0)),
		Cards: []*shelfpb.Card{{Uri: "track:a", Title: "A", Artist: "artist:b"}}, Trigger: "t",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(append(whole[:len(whole):len(whole)], whole...)) // the same argument twice, out of order
	f.Add([]byte{5<<3 | 2, 2, 1<<3 | 2, 5})                // an argument that is cut off
	f.Add([]byte{5<<3 | 2, 4, 1 << 3, 1, 2 << 3, 1})       // an argument of the wrong types
	f.Fuzz(func(t *testing.T, cell []byte) {
		var p homewire.Parts
		splitErr := p.Add(cell)
		for _, c := range p.Cards {
			c.Artist()
		}
		decoded := new(shelfpb.Shelf)
		if err := proto.Unmarshal(cell, decoded); err != nil {
			homewire.TitleArg(cell, "artist")
			return
		}
		clean := decoded.Name == "" && decoded.Title == "" && decoded.Status == 0 && decoded.AgeSeconds == 0 &&
			decoded.Component == 0 && decoded.NextPageToken == ""
		if splitErr != nil {
			if clean && !hasHeader(cell) && !slices.ContainsFunc(decoded.Cards, func(c *shelfpb.Card) bool { return c.Uri == "" }) &&
				!repeatsURI(cell) {
				t.Fatalf("refused what decodes: %v", splitErr)
			}
			return
		}
		if !clean || len(p.Cards) != len(decoded.Cards) {
			t.Fatalf("%d cards for %v", len(p.Cards), decoded)
		}
		again := new(shelfpb.Shelf)
		joined := homewire.AppendShelf(nil, &homewire.Shelf{Meta: p.Meta, Cards: p.Cards})
		if err := proto.Unmarshal(joined, again); err != nil || !proto.Equal(decoded, again) {
			t.Fatalf("joined again: %v, %v; want %v", again, err, decoded)
		}
		for name, want := range decoded.TitleArgs {
			if got, ok := homewire.TitleArg(p.Meta, name); !ok || string(got) != want {
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
	return anyField(cell, func(num protowire.Number, _ []byte) bool { return num <= 4 || num > 15 })
}

// repeatsURI looks for a card that has a URI twice, of which Add sees the first.
func repeatsURI(cell []byte) bool {
	return anyField(cell, func(num protowire.Number, value []byte) bool {
		uris := 0
		return num == 7 && anyField(value, func(num protowire.Number, _ []byte) bool {
			if num == 1 {
				uris++
			}
			return uris > 1
		})
	})
}

func anyField(b []byte, is func(protowire.Number, []byte) bool) bool {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, kind, b[n:])
		value, _ := protowire.ConsumeBytes(b[n : n+m])
		if is(num, value) {
			return true
		}
		b = b[n+m:]
	}
	return false
}

func BenchmarkAdd(b *testing.B) {
	s := &shelfpb.Shelf{AsOf: timestamppb.New(time.Unix(1, 0))}
	for i := range 20 {
		s.Cards = append(s.Cards, &shelfpb.Card{Uri: fmt.Sprint("track:", i), Title: "A title", Reason: "Because"})
	}
	cell, err := proto.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	var p homewire.Parts
	for b.Loop() {
		p.Cards, p.Meta = p.Cards[:0], p.Meta[:0]
		if err := p.Add(cell); len(p.Cards) != 20 || err != nil {
			b.Fatal(len(p.Cards), err)
		}
	}
}

// numbered makes tokens of the cards' positions.
type numbered struct{}

func (numbered) Len() int { return len("context-000") }

func (numbered) Append(dst []byte, position int, _ uint64) []byte {
	return fmt.Appendf(dst, "context-%03d", position)
}
