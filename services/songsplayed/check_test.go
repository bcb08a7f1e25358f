package songsplayed

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"homefeed/services/songsplayed/rowkey"
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
		{action(songsplayedpb.Kind_KIND_FOLLOWED, "ann", "a:1", rowkey.MaxMillis), "u#4991#ann#f#0000000000000#a:1"},
	} {
		f, bad := check(test.action)
		if bad != nil {
			t.Fatal(bad)
		}
		if got := string(rowkey.Append(nil, test.action.GetUser(), f, test.action.GetTimeMs(), test.action.GetObject())); got != test.want {
			t.Errorf("%v: got %s, want %s", test.action, got, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	played := songsplayedpb.Kind_KIND_PLAYED
	for _, test := range []struct {
		action *songsplayedpb.Action
		field  string // empty: fine
	}{
		{action(played, "ann", "t1", 0), ""},
		{action(played, "ann", "t1", rowkey.MaxMillis), ""},
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
		{action(played, "ann", "t1", rowkey.MaxMillis+1), "time_ms"},
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
	ms := rapid.OneOf(rapid.Int64Range(0, 12), rapid.Int64Range(rowkey.MaxMillis-3, rowkey.MaxMillis), rapid.Int64Range(0, rowkey.MaxMillis))
	rapid.Check(t, func(t *rapid.T) {
		a := action(kind.Draw(t, "kind"), user.Draw(t, "user"), rapid.StringMatching(`[A-Za-z0-9._:-]{1,128}`).Draw(t, "object"), ms.Draw(t, "time"))
		f, bad := check(a)
		if bad != nil {
			t.Fatal(bad)
		}
		in := span{family: rapid.SampledFrom([]rowkey.Family{rowkey.Plays, rowkey.Hearts, rowkey.Follows}).Draw(t, "family"), user: user.Draw(t, "span's user"),
			start: ms.Draw(t, "start"), end: ms.Draw(t, "end") + 1}
		if in.start >= in.end {
			t.Skip("an empty span has no bounds")
		}
		from, to, prefix := rowkey.Bounds(in.user, in.family, in.start, in.end)
		key := rowkey.Append(nil, a.GetUser(), f, a.GetTimeMs(), a.GetObject())
		got := bytes.Compare(from, key) <= 0 && bytes.Compare(key, to) < 0
		want := f == in.family && a.User == in.user && in.start <= a.TimeMs && a.TimeMs < in.end
		if got != want {
			t.Fatalf("%s within %s to %s: %t", key, from, to, got)
		}
		if !want {
			return
		}
		object, at, err := rowkey.Parse(key, prefix)
		if err != nil || string(object) != a.Object || at != a.TimeMs {
			t.Fatalf("%s: read as %s at %d, error %v", key, object, at, err)
		}
	})
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
		key := rowkey.Append(nil, a.GetUser(), fam, a.GetTimeMs(), a.GetObject())
		prefix := rowkey.AppendPrefix(nil, user, fam)
		gotObject, gotMs, err := rowkey.Parse(key, len(prefix))
		if err != nil || string(gotObject) != object || gotMs != ms || len(key) > MaxKey || !bytes.HasPrefix(key, prefix) ||
			bytes.Count(key, []byte("#")) != 5 || !bytes.Equal(rowkey.Prefix(key), prefix) {
			t.Errorf("%v: key %q (prefix %q) was read as %q at %d, error %v", a, key, rowkey.Prefix(key), gotObject, gotMs, err)
		}
	})
}
