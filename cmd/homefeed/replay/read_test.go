package replay

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"homefeed/pipeline/event"
	"homefeed/services/catalog"
)

func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Read(strings.NewReader("track\tartist\ttitle\nt1\tAnn\tOne\n"), "test")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fuzzParser holds that no line panics, and that what parses is an event that only its time can make invalid.
func fuzzParser(f *testing.F, parse func(*parser, []byte) (record, error)) {
	known := testCatalog(f)
	f.Fuzz(func(t *testing.T, line []byte) {
		p := &parser{known: known, user: "me", columns: [4]int{0, 1, 2, 3}, interned: map[string]string{}}
		rec, err := parse(p, line)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		e := event.Event{ID: "x", Kind: rec.kind, User: rec.user, Object: rec.object, Time: time.UnixMilli(rec.time)}
		if err := e.Validate(time.UnixMilli(rec.time)); err != nil || rec.time > p.last {
			t.Errorf("%q became %+v: %v", line, rec, err)
		}
	})
}

func FuzzTSV(f *testing.F) {
	f.Add([]byte("1400000000\tbob\tplay\tt1"))
	f.Add([]byte("1400000000\tbob\tfollow_artist\tAnn"))
	f.Add([]byte("-1\tb b\theart\t"))
	fuzzParser(f, (*parser).tsv)
}

func FuzzListen(f *testing.F) {
	f.Add([]byte(`{"listened_at":1400000000,"track_metadata":{"artist_name":"Ann","track_name":"One"}}`))
	f.Add([]byte(`{"listened_at":-1,"user_name":"a b"}`))
	f.Add([]byte(`[]`))
	fuzzParser(f, (*parser).listen)
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 100)
	r := bufio.NewReaderSize(strings.NewReader("a\r\n\n"+long+"\nb\n"+long), 64)
	for i, want := range []struct {
		line string
		err  error
	}{{"a", nil}, {"", nil}, {"", errTooLong}, {"b", nil}, {"", errTooLong}, {"", io.EOF}} {
		if line, err := readLine(r); string(line) != want.line || err != want.err {
			t.Errorf("line %d: %q, %v, want %q, %v", i+1, line, err, want.line, want.err)
		}
	}
}

// TestBar reports to a progress bar, as on a terminal.
func TestBar(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out, 10)
	if r.bar != nil {
		t.Fatal("a bar where out is no terminal")
	}
	r.bar = newBar(&out, 10)
	r.sent(8, 1)
	r.rejected(3, "id", "user", "wrong")
	r.refused(4, "id", "", "wrong")
	r.summary(0)
	for _, want := range []string{"100%", "line 3, event id: rejected: user: wrong\n", "8 events accepted, 1 rejected, 1 refused here"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
}
