package rowkey_test

import (
	"bytes"
	"cmp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"homefeed/services/songsplayed/rowkey"
)

func TestMaxLen(t *testing.T) {
	if got := len(rowkey.Append(nil, strings.Repeat("u", 64), rowkey.Plays, 1, strings.Repeat("o", 128))); got != rowkey.MaxLen {
		t.Errorf("the longest key has %d bytes; MaxLen is %d", got, rowkey.MaxLen)
	}
}

// TestOrder: of two actions of a family, the newer has the smaller key.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, rowkey.MaxMillis)
		a, b := ms.Draw(t, "a"), ms.Draw(t, "b")
		if got, want := bytes.Compare(rowkey.AppendMillis(nil, a), rowkey.AppendMillis(nil, b)), cmp.Compare(b, a); got != want {
			t.Fatalf("%d and %d compare as %d, want %d", a, b, got, want)
		}
	})
}

// FuzzParse: any bytes are either malformed or exactly what the key of what was read looks like.
func FuzzParse(f *testing.F) {
	prefix := rowkey.AppendPrefix(nil, "ann", rowkey.Plays)
	f.Add(rowkey.Append(nil, "ann", rowkey.Plays, 1_750_000_000_123, "t1")[len(prefix):])
	f.Add([]byte("0000000000000#"))
	f.Add([]byte("00000000000-1#t"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		key := append(bytes.Clone(prefix), tail...)
		object, ms, err := rowkey.Parse(key, len(prefix))
		if err != nil {
			return
		}
		again := append(append(rowkey.AppendMillis(bytes.Clone(prefix), ms), '#'), object...)
		if ms < 0 || ms > rowkey.MaxMillis || len(object) == 0 || !bytes.Equal(again, key) {
			t.Errorf("%q was read as %q at %d", key, object, ms)
		}
	})
}

// FuzzSplit: what has a listener and a family is put together from them, and nothing else has a prefix.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("u#4991#ann#p#9999999999999#t1"))
	f.Add([]byte("u#4991#ann#p"))
	f.Add([]byte("u#4991#ann#"))
	f.Add([]byte("e#4991#ann#p#"))
	f.Fuzz(func(t *testing.T, key []byte) {
		listener, family, err := rowkey.Split(key)
		prefix := rowkey.Prefix(key)
		if err != nil {
			if prefix != nil {
				t.Errorf("%q: prefix %q, and error %v", key, prefix, err)
			}
			return
		}
		want := append(bytes.Clone(listener), byte(family), '#')
		if !bytes.Equal(prefix, want) || !bytes.HasPrefix(key, prefix) || !bytes.HasPrefix(key, []byte("u#")) || bytes.Count(listener, []byte("#")) != 3 {
			t.Errorf("%q: listener %q, family %q, prefix %q", key, listener, byte(family), prefix)
		}
	})
}
