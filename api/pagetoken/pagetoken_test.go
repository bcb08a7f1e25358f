package pagetoken_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/pagetoken"
)

func newSealer(t testing.TB, secret string) *pagetoken.Sealer {
	t.Helper()
	s, err := pagetoken.New(bytes.Repeat([]byte(secret), 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var token = pagetoken.Token{
	Version: "v", Now: 1, AsOf: map[string]int64{"discover": 2}, Shelves: []string{"again"}, Shown: []uint32{3, 1 << 31}, First: 4,
}

func TestRoundTrip(t *testing.T) {
	s := newSealer(t, "a")
	sealed, err := s.Seal("ann's Home", &token)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Open("ann's Home", sealed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&token, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := s.Open("bob's Home", sealed); !errors.Is(err, pagetoken.ErrInvalid) {
		t.Errorf("for another request: %v", err)
	}
	if _, err := newSealer(t, "b").Open("ann's Home", sealed); !errors.Is(err, pagetoken.ErrInvalid) {
		t.Errorf("with another secret: %v", err)
	}
	if _, err := newSealer(t, "a").Open("ann's Home", sealed); err != nil {
		t.Errorf("in another instance: %v", err)
	}
}

// FuzzOpen holds that nothing made up is taken, and that nothing panics.
func FuzzOpen(f *testing.F) {
	s := newSealer(f, "a")
	good, err := s.Seal("x", &token)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[1:])
	f.Add("")
	f.Fuzz(func(t *testing.T, sealed string) {
		if _, err := s.Open("x", sealed); err == nil && sealed != good {
			t.Fatalf("%q is taken", sealed)
		}
	})
}
