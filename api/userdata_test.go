package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/api"
	"homefeed/api/home"
	"homefeed/pipeline/event"
	"homefeed/shelves/store"
)

// exportLine is a line of an export as somebody reads it.
type exportLine struct {
	Type, Track, Artist, URI, Shelf string
	Time                            time.Time
	Data                            struct{ Cards []struct{ URI string } }
	Bytes                           []byte
	Lines                           int
}

func exportLines(t *testing.T, body string) (lines []exportLine) {
	t.Helper()
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); {
		var l exportLine
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%v: %s", err, s.Text())
		}
		lines = append(lines, l)
	}
	return lines
}

// TestExport holds that all that is kept of a listener is there, and that nothing logged says whose it is.
func TestExport(t *testing.T) {
	s := &rows{}
	key := userKey(t, "ann")
	s.put(t, key, "discover", now.Add(-time.Hour), nil, "old")
	s.put(t, key, "discover", now, nil, "a", "b")
	s.putBytes(key, store.Cell{Shelf: "odd", AsOf: now, Data: []byte{0xff}})
	s.putBytes(key, store.Cell{Shelf: home.HiddenColumn("track:x"), AsOf: now, Data: []byte("track:x")})
	s.putBytes(key, store.Cell{Shelf: home.HiddenColumn("track:y"), AsOf: now})
	played := &songsPlayed{actions: []event.Event{
		{Kind: event.Followed, User: "ann", Object: "artist-1", Time: now}, {Kind: event.Hearted, User: "ann", Object: "t1", Time: now},
		{Kind: event.Played, User: "ann", Object: "t2", Time: now},
	}}
	var log bytes.Buffer
	a := newAPI(t, api.Config{Rows: s, Events: played, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	w := call(a, "GET", "/v1/users/ann:export", "listener:ann", "")
	if ct := w.Header().Get("Content-Type"); w.Code != 200 || ct != "application/x-ndjson" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	got := exportLines(t, w.Body.String())
	row := func(cards ...string) (l exportLine) {
		l = exportLine{Type: "row", Shelf: "discover", Time: now}
		for _, c := range cards {
			l.Data.Cards = append(l.Data.Cards, struct{ URI string }{"track:" + c})
		}
		return l
	}
	older := row("old")
	older.Time = now.Add(-time.Hour)
	want := []exportLine{
		{Type: "export", Time: now},
		{Type: "follow", Artist: "artist-1", Time: now}, {Type: "heart", Track: "t1", Time: now}, {Type: "play", Track: "t2", Time: now},
		row("a", "b"), older,
		{Type: "hidden", URI: "track:x", Time: now},
		{Type: "row", Shelf: "odd", Time: now, Bytes: []byte{0xff}},
		{Type: "end", Lines: 8},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(log.String(), "ann") {
		t.Errorf("the log names the listener:\n%s", &log)
	}
	if nobody := call(newAPI(t, api.Config{Events: &songsPlayed{}}), "GET", "/v1/users/bob:export", "service:admin", ""); nobody.Code != 200 ||
		len(exportLines(t, nobody.Body.String())) != 2 {
		t.Errorf("of nobody known: %d %s", nobody.Code, nobody.Body)
	}
}

// TestExportIncomplete holds that half of an export is an error before its first line, and visibly cut off behind it.
func TestExportIncomplete(t *testing.T) {
	away := func(context.Context, store.Key) error { return errors.New("away") }
	for name, c := range map[string]api.Config{
		"songs-played away": {Events: &songsPlayed{err: errors.New("away")}},
		"the store away":    {Events: &songsPlayed{}, Rows: &rows{before: away}},
		"no songs-played":   {},
	} {
		w := call(newAPI(t, c), "GET", "/v1/users/ann:export", "service:admin", "")
		if e := decodeError(t, w.Body.Bytes()); w.Code != 503 || e.Error.Status != "UNAVAILABLE" || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	many := &songsPlayed{err: errors.New("away")}
	for range 10_000 {
		many.actions = append(many.actions, event.Event{Kind: event.Played, Object: "t", Time: now})
	}
	server := httptest.NewServer(newAPI(t, api.Config{Events: many}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/users/ann:export", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer listener:ann")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err == nil || bytes.Contains(body, []byte(`"end"`)) {
		t.Errorf("an export that failed half way ended well, %d bytes", len(body))
	}
}
