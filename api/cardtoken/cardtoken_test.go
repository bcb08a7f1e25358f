package cardtoken_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"

	"homefeed/api/cardtoken"
	"homefeed/shelves/shelfpb"
)

var secret = bytes.Repeat([]byte("s"), cardtoken.MinSecret)

func newTokens(t testing.TB, secret []byte) *cardtoken.Tokens {
	t.Helper()
	tokens, err := cardtoken.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func seal(t rapid.TB, tokens *cardtoken.Tokens, user, uri string, c cardtoken.Card) string {
	t.Helper()
	l, err := tokens.Listener(user)
	if err != nil {
		t.Fatal(err)
	}
	s := l.Shelf(c)
	token := string(s.Append(nil, c.Position, xxh3.HashString(uri)))
	if len(token) != s.Len() {
		t.Fatalf("%d bytes, Len says %d", len(token), s.Len())
	}
	return token
}

// TestToken holds that tokens stay as they are: an older instance of the API reads what a newer one made.
func TestToken(t *testing.T) {
	const want = "AwED-9CV_7wxCGRpc2NvdmVyA3QtMQAAAfSM1t6Zkq_idLG4"
	card := cardtoken.Card{Shelf: "discover", Status: 1, AsOf: time.UnixMilli(1700000000123), Trigger: "t-1", Place: 3, Position: 500}
	if got := seal(t, newTokens(t, secret), "ann", "track:a", card); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRoundTrip holds that what a token says is what it was made of, for its own listener, card and secret only.
func TestRoundTrip(t *testing.T) {
	tokens, others := newTokens(t, secret), newTokens(t, append(bytes.Clone(secret), 'x'))
	rapid.Check(t, func(t *rapid.T) {
		want := cardtoken.Card{
			Shelf: rapid.StringMatching(`[a-z0-9_]{1,40}`).Draw(t, "shelf"), Status: shelfpb.Status(rapid.IntRange(1, 5).Draw(t, "status")),
			Trigger: rapid.StringMatching(`[0-9a-f]{0,64}`).Draw(t, "trigger"),
			Place:   rapid.IntRange(0, 255).Draw(t, "place"), Position: rapid.IntRange(0, 1<<16-1).Draw(t, "position"),
		}
		if rapid.Bool().Draw(t, "row") {
			want.AsOf = time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, "as-of")).UTC()
		}
		token := seal(t, tokens, "ann", "track:a", want)
		got, err := tokens.Open("ann", "track:a", token)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		for name, open := range map[string]func() (cardtoken.Card, error){
			"another listener": func() (cardtoken.Card, error) { return tokens.Open("bob", "track:a", token) },
			"another card":     func() (cardtoken.Card, error) { return tokens.Open("ann", "track:b", token) },
			"another secret":   func() (cardtoken.Card, error) { return others.Open("ann", "track:a", token) },
		} {
			if c, err := open(); !errors.Is(err, cardtoken.ErrInvalid) {
				t.Fatalf("%s: %+v, %v", name, c, err)
			}
		}
		data, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		data[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if c, err := tokens.Open("ann", "track:a", base64.RawURLEncoding.EncodeToString(data)); err == nil {
			t.Fatalf("a changed token was taken: %+v", c)
		}
	})
}

func TestShortSecret(t *testing.T) {
	if _, err := cardtoken.New(secret[1:]); err == nil {
		t.Error("a secret of 31 bytes was taken")
	}
}

// FuzzOpen holds that nothing made up is taken, and that nothing panics.
func FuzzOpen(f *testing.F) {
	tokens := newTokens(f, secret)
	good := seal(f, tokens, "ann", "track:a", cardtoken.Card{Shelf: "discover", Trigger: "t"})
	f.Add(good)
	f.Add(good[4:])
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := tokens.Open("ann", "track:a", token); err == nil && token != good {
			t.Fatalf("%q is taken for %+v", token, c)
		}
	})
}

// TestBegin holds that a Listener that was another's makes the tokens that a new one makes.
func TestBegin(t *testing.T) {
	tokens, card, hash := newTokens(t, secret), cardtoken.Card{Shelf: "discover", Trigger: "t-1"}, xxh3.HashString("track:a")
	used := tokens.Nobody()
	for _, user := range []string{"ann", "bob", "ann"} {
		if err := used.Begin(user); err != nil {
			t.Fatal(err)
		}
		if got, want := string(used.Shelf(card).Append(nil, 0, hash)), seal(t, tokens, user, "track:a", card); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
}

func BenchmarkHome(b *testing.B) {
	l := newTokens(b, secret).Nobody()
	uri, buf := xxh3.HashString("track:00000001"), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Begin("ann"); err != nil {
			b.Fatal(err)
		}
		for place := range 12 {
			s := l.Shelf(cardtoken.Card{Shelf: "discover", Trigger: "0123456789abcdef01234567", AsOf: time.UnixMilli(1), Place: place})
			for i := range 20 {
				buf = s.Append(buf[:0], i, uri)
			}
		}
	}
}
