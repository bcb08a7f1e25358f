package songsplayed

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"homefeed/services/songsplayed/songsplayedpb"
)

func action(k songsplayedpb.Kind, user, object string, ms int64) *songsplayedpb.Action {
	return &songsplayedpb.Action{Kind: k, User: user, Object: object, TimeMs: ms}
}

// TestLayout pins the layout: rows that are written stay where they are.
func TestLayout(t *testing.T) {
	for _, test := range []struct {
		action *songsplayedpb.Action
		want   string
	}{
		{action(songsplayedpb.Kind_KIND_PLAYED, "ann", "t1", 1_750_000_000_123), "u#4991#ann#p#8249999999876#t1"},
		{action(songsplayedpb.Kind_KIND_HEARTED, "ann", "t1", 0), "u#4991#ann#h#9999999999999#t1"},
		{action(songsplayedpb.Kind_KIND_FOLLOWED, "ann", "a:1", maxMillis), "u#4991#ann#f#0000000000000#a:1"},
	} {
		f, bad := check(test.action)
		if bad != nil {
			t.Fatal(bad)
		}
		if got := string(appendKey(nil, f, test.action)); got != test.want {
			t.Errorf("%v: got %s, want %s", test.action, got, test.want)
		}
	}
}

func TestLongestKey(t *testing.T) {
	a := action(songsplayedpb.Kind_KIND_PLAYED, strings.Repeat("u", 64), strings.Repeat("o", 128), 1)
	if got := len(appendKey(nil, plays, a)); got != MaxKey {
		t.Errorf("the longest key has %d bytes; MaxKey is %d", got, MaxKey)
	}
}

func TestCheck(t *testing.T) {
	played := songsplayedpb.Kind_KIND_PLAYED
	for _, test := range []struct {
		action *songsplayedpb.Action
		field  string // empty: fine
	}{
		{action(played, "ann", "t1", 0), ""},
		{action(played, "ann", "t1", maxMillis), ""},
		{nil, "kind"},
		{action(0, "ann", "t1", 1), "kind"},
		{action(4, "ann", "t1", 1), "kind"},
		{action(played, "", "t1", 1), "user"},
		{action(played, "a#b", "t1", 1), "user"},
		{action(played, strings.Repeat("u", 65), "t1", 1), "user"},
		{action(played, "ann", "", 1), "object"},
		{action(played, "ann", "t#1", 1), "object"},
		{action(played, "ann", strings.Repeat("o", 129), 1), "object"},
		{action(played, "ann", "t1", -1), "time_ms"},
		{action(played, "ann", "t1", maxMillis+1), "time_ms"},
	} {
		field := ""
		if _, bad := check(test.action); bad != nil {
			field = bad.Field
		}
		if field != test.field {
			t.Errorf("%v: %q is wrong, want %q", test.action, field, test.field)
		}
	}
}

// TestBounds: a key lies within the bounds of a span exactly if its action belongs to the span.
func TestBounds(t *testing.T) {
	user := rapid.SampledFrom([]string{"a", "a.", "ab", "b", "a-p"})
	kind := rapid.SampledFrom([]songsplayedpb.Kind{1, 2, 3})
	ms := rapid.OneOf(rapid.Int64Range(0, 12), rapid.Int64Range(maxMillis-3, maxMillis), rapid.Int64Range(0, maxMillis))
	rapid.Check(t, func(t *rapid.T) {
		a := action(kind.Draw(t, "kind"), user.Draw(t, "user"), rapid.StringMatching(`[A-Za-z0-9._:-]{1,128}`).Draw(t, "object"), ms.Draw(t, "time"))
		f, bad := check(a)
		if bad != nil {
			t.Fatal(bad)
		}
		in := span{family: rapid.SampledFrom([]family{plays, hearts, follows}).Draw(t, "family"), user: user.Draw(t, "span's user"),
			start: ms.Draw(t, "start"), end: ms.Draw(t, "end") + 1}
		if in.start >= in.end {
			t.Skip("an empty span has no bounds")
		}
		from, to, prefix := bounds(in.user, in.family, in.start, in.end)
		key := appendKey(nil, f, a)
		got := bytes.Compare(from, key) <= 0 && bytes.Compare(key, to) < 0
		want := f == in.family && a.User == in.user && in.start <= a.TimeMs && a.TimeMs < in.end
		if got != want {
			t.Fatalf("%s within %s to %s: %t", key, from, to, got)
		}
		if !want {
			return
		}
		object, at, err := parseKey(key, prefix)
		if err != nil || string(object) != a.Object || at != a.TimeMs {
			t.Fatalf("%s: read as %s at %d, error %v", key, object, at, err)
		}
	})
}

// TestKeyOrder: of two actions of a family, the newer has the smaller key.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, maxMillis)
		a, b := ms.Draw(t, "a"), ms.Draw(t, "b")
		if got, want := bytes.Compare(appendMillis(nil, a), appendMillis(nil, b)), compare(b, a); got != want {
			t.Fatalf("%d and %d compare as %d, want %d", a, b, got, want)
		}
	})
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// FuzzParseKey: any bytes are either malformed or exactly what the key of what was read looks like.
func FuzzParseKey(f *testing.F) {
	a := action(songsplayedpb.Kind_KIND_PLAYED, "ann", "t1", 1_750_000_000_123)
	prefix := appendPrefix(nil, a.User, plays)
	f.Add(appendKey(nil, plays, a)[len(prefix):])
	f.Add([]byte("0000000000000#"))
	f.Add([]byte("00000000000-1#t"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		key := append(bytes.Clone(prefix), tail...)
		object, ms, err := parseKey(key, len(prefix))
		if err != nil {
			return
		}
		again := append(append(appendMillis(bytes.Clone(prefix), ms), '#'), object...)
		if ms < 0 || ms > maxMillis || len(object) == 0 || !bytes.Equal(again, key) {
			t.Errorf("%q was read as %q at %d", key, object, ms)
		}
	})
}

// TestFamilyPrefix: keys that are not of an action have none.
func TestFamilyPrefix(t *testing.T) {
	for key, want := range map[string]string{
		"u#0123#ann#p#9999999999999#t1": "u#0123#ann#p#",
		"u#0123#ann#p#":                 "u#0123#ann#p#",
		"u#0123#ann#p":                  "",
		"u#0123#ann#":                   "",
		"e#0123#ann#p#9999999999999#t1": "",
		"":                              "",
	} {
		if got := FamilyPrefix([]byte(key)); string(got) != want {
			t.Errorf("%s: prefix %q, want %q", key, got, want)
		}
	}
}

// FuzzAppendKey: what check lets through makes a key that is read back, and keeps to its listener's prefix.
func FuzzAppendKey(f *testing.F) {
	f.Add(int32(1), "ann", "t1", int64(1))
	f.Add(int32(2), "a#p", "a:1", int64(-1))
	f.Fuzz(func(t *testing.T, kind int32, user, object string, ms int64) {
		a := action(songsplayedpb.Kind(kind), user, object, ms)
		fam, bad := check(a)
		if bad != nil {
			return
		}
		key := appendKey(nil, fam, a)
		prefix := appendPrefix(nil, user, fam)
		gotObject, gotMs, err := parseKey(key, len(prefix))
		if err != nil || string(gotObject) != object || gotMs != ms || len(key) > MaxKey || !bytes.HasPrefix(key, prefix) ||
			bytes.Count(key, []byte("#")) != 5 || !bytes.Equal(FamilyPrefix(key), prefix) {
			t.Errorf("%v: key %q (prefix %q) was read as %q at %d, error %v", a, key, FamilyPrefix(key), gotObject, gotMs, err)
		}
	})
}
