package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"homefeed/cmd/homefeed/replay"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

// api is the other side: it fails as it is told, then takes events and remembers them.
type api struct {
	t      *testing.T
	reject func(event.Event) *eventpb.EventResult // nil: accept
	fail   []http.HandlerFunc                     // the first requests, one each; nil takes one

	mu      sync.Mutex
	events  []event.Event
	arrived []time.Time
	sizes   []int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.fail) > 0 {
		fail := a.fail[0]
		a.fail = a.fail[1:]
		if fail != nil {
			fail(w, r)
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	var request eventpb.WriteEventsRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		a.t.Errorf("the body is no WriteEventsRequest: %v", err)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/events" || len(body) > 1<<20 ||
		r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Authorization") != "Bearer secret" {
		a.t.Errorf("%s %s of %d bytes, %v, %v", r.Method, r.URL, len(body), r.Header, err)
	}
	var answer eventpb.WriteEventsResponse
	for _, e := range request.GetEvents() {
		e := event.FromProto(e)
		result := &eventpb.EventResult{}
		if a.reject != nil {
			result = a.reject(e)
		}
		result.Id = e.ID
		if result.GetError() == "" {
			a.events = append(a.events, e)
			a.arrived = append(a.arrived, time.Now())
		}
		answer.Results = append(answer.Results, result)
	}
	a.sizes = append(a.sizes, len(request.GetEvents()))
	writeProto(w, &answer)
}

func writeProto(w http.ResponseWriter, m proto.Message) {
	body, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
}

const catalogTSV = `track	artist	title
t1	Ann Ondine	First Light
t2	Ann Ondine	Second Wind
t3	The Bells	Ring
`

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if strings.HasSuffix(name, ".gz") {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := io.WriteString(z, content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		content = zipped.String()
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cut takes the end off a file.
func cut(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-10)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func config(t *testing.T, a *api) replay.Config {
	t.Helper()
	a.t = t
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return replay.Config{
		Format: replay.TSV, Catalog: file(t, "catalog.tsv", catalogTSV), To: server.URL, Token: "secret",
		Backoff: replay.Backoff{First: time.Millisecond, Most: 10 * time.Millisecond},
	}
}

func mustRun(t *testing.T, cfg replay.Config) string {
	t.Helper()
	var out bytes.Buffer
	if err := replay.Run(t.Context(), cfg, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}

// said is the events without their ids, in order.
func said(events []event.Event) []string {
	var lines []string
	for _, e := range events {
		lines = append(lines, fmt.Sprintf("%d %s %s %s", e.Time.UnixMilli(), e.User, e.Kind, e.Object))
	}
	return lines
}

func idsOf(events []event.Event) []string {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

const smallTSV = `ts	user	event	object
1400000000	bob	play	t1
1400000100	ann	play	t2
1400000050	bob	heart	t1
1400000200	bob	follow_artist	the  BELLS
`

func TestTSV(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", smallTSV)
	out := mustRun(t, cfg)
	bells := a.events[3].Object
	want := []string{
		"1400000000000 bob played t1", "1400000050000 bob hearted t1", "1400000100000 ann played t2",
		"1400000200000 bob followed " + bells,
	}
	if diff := cmp.Diff(want, said(a.events)); diff != "" || bells == "" || strings.ContainsAny(bells, " B") {
		t.Errorf("artist %q, events (-want +got):\n%s", bells, diff)
	}
	if !strings.Contains(out, "4 events accepted, 0 rejected, 0 refused here") {
		t.Errorf("the summary is missing:\n%s", out)
	}
}

func TestShift(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", smallTSV)
	cfg.Shift, cfg.End = true, time.UnixMilli(1_500_000_000_123)
	out := mustRun(t, cfg)
	first := slices.Clone(a.events)
	if got := first[3].Time.UnixMilli(); got != 1_500_000_000_123 {
		t.Errorf("the last event is at %d, want -end", got)
	}
	if got := first[3].Time.Sub(first[0].Time); got != 200*time.Second {
		t.Errorf("first and last are %v apart, want 200s", got)
	}
	if !strings.Contains(out, "-end 2017-07-14T02:40:00.123Z") {
		t.Errorf("how to repeat the run is missing:\n%s", out)
	}

	a.events = nil
	cfg.File = file(t, "zipped.gz", smallTSV) // what it holds counts, not how
	mustRun(t, cfg)
	if diff := cmp.Diff(first, a.events); diff != "" {
		t.Errorf("the same run again sent something else (-first +second):\n%s", diff)
	}

	a.events = nil
	cfg.End = cfg.End.Add(time.Millisecond)
	mustRun(t, cfg)
	if ids := slices.Concat(idsOf(first), idsOf(a.events)); len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 8 {
		t.Errorf("another run has some of the same ids: %q", ids)
	}

	a.events, cfg.End = nil, time.Time{}
	before := time.Now().Truncate(time.Millisecond)
	mustRun(t, cfg)
	if last := a.events[3].Time; last.Before(before) || last.After(time.Now()) {
		t.Errorf("without -end the last event is at %v, want now", last)
	}
}

// TestShiftIgnoresTheCatalogue holds that a catalogue that has grown doesn't move the log elsewhere.
func TestShiftIgnoresTheCatalogue(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", smallTSV+"1400009000\tbob\tplay\tt4\n")
	cfg.Shift, cfg.End = true, time.UnixMilli(1_500_000_000_000)
	mustRun(t, cfg)
	first := a.events
	a.events = nil
	cfg.Catalog = file(t, "grown.tsv", catalogTSV+"t4\tThe Bells\tToll\n")
	mustRun(t, cfg)
	if len(first) != 4 || len(a.events) != 5 {
		t.Fatalf("%d and %d events, want 4 and 5", len(first), len(a.events))
	}
	if diff := cmp.Diff(first, a.events[:4]); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestListenBrainz(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.Format, cfg.User = replay.ListenBrainz, "me"
	cfg.File = file(t, "listens.jsonl", strings.Join([]string{ // newest first, as exports are
		`{"listened_at":1400000300,"track_metadata":{"artist_name":"the bells","track_name":" ring "},"inserted_at":1}`,
		`{"listened_at":1400000200,"user_name":"ann","track_metadata":{"artist_name":"Ann Ondine","track_name":"First Light"}}`,
		``,
		`{"listened_at":1400000100,"track_metadata":{"artist_name":"Nobody","track_name":"Nothing"}}`,
		`{"track_metadata":{"artist_name":"The Bells","track_name":"Ring"}}`,
		`{"listened_at":1400000000,"user_name":"a b","track_metadata":{"artist_name":"The Bells","track_name":"Ring"}}`,
		`{"listened_at":"yesterday"}`,
		`null`,
		`{"listened_at":1400000000,"track_metadata":{"artist_name":"The Bells","track_name":"` + strings.Repeat("x", 1<<20) + `"}}`,
		`{"listened_at":1400000000,"track_metadata":{"artist_name":"Ann Ondine","track_name":"Second Wind"}}`,
	}, "\n"))
	out := mustRun(t, cfg)
	want := []string{"1400000000000 me played t2", "1400000200000 ann played t1", "1400000300000 me played t3"}
	if diff := cmp.Diff(want, said(a.events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	wantLines(t, out, map[string]string{
		"line 4,": `track_metadata: "Nothing" by "Nobody" is not in the catalogue`,
		"line 5,": "listened_at: want Unix seconds",
		"line 6,": "user_name: want",
		"line 7,": "want a listen in JSON",
		"line 8,": "listened_at: want Unix seconds",
		"line 9,": "want a line of at most",
	})
	if !strings.Contains(out, "3 events accepted, 0 rejected, 6 refused here") {
		t.Errorf("the summary is missing:\n%s", out)
	}
}

// wantLines wants, for each key, one line of out that begins with it, and has the value.
func wantLines(t *testing.T, out string, want map[string]string) {
	t.Helper()
	for start, text := range want {
		n := 0
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, start) && strings.Contains(line, text) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines begin with %q and have %q, want 1, in:\n%s", n, start, text, out)
		}
	}
}

func TestRejections(t *testing.T) {
	a := &api{reject: func(e event.Event) *eventpb.EventResult {
		if e.User == "ann" {
			return &eventpb.EventResult{Field: "user", Error: "want somebody else"}
		}
		return &eventpb.EventResult{}
	}}
	cfg := config(t, a)
	ahead := time.Now().Add(time.Hour).Unix()
	cfg.File = file(t, "log.tsv", smallTSV+strings.Join([]string{
		"x\tbob\tplay\tt1", "1400000000\tb b\tplay\tt1", "1400000000\tbob\tskip\tt1", "1400000000\tbob\tplay\tt9",
		"1400000000\tbob\tfollow_artist\tNobody", "1400000000\tbob", fmt.Sprintf("%d\tbob\tplay\tt1", ahead),
		"1400000000\tbob\tplay\t" + strings.Repeat("t", 200),
	}, "\n"))
	out := mustRun(t, cfg)
	wantLines(t, out, map[string]string{
		"line 3,":  "rejected: user: want somebody else",
		"line 6,":  "refused here: ts: want Unix seconds",
		"line 7,":  "refused here: user: want 1–64",
		"line 8,":  "refused here: event: want play, heart or follow_artist",
		"line 9,":  `refused here: object: track "t9" is not in the catalogue`,
		"line 10,": `refused here: object: artist "Nobody" is not in the catalogue`,
		"line 11,": "refused here: 2 columns",
		"line 12,": "refused here: time: want a time at most 5 minutes ahead",
		"line 13,": "refused here: object: want at most 128 bytes",
	})
	if !strings.Contains(out, "3 events accepted, 1 rejected, 8 refused here") {
		t.Errorf("the summary is wrong:\n%s", out)
	}
	if strings.Contains(out, cfg.Token) {
		t.Error("the token is shown")
	}
}

// TestClassicRock replays the real log, where it lies beside the checkout, and wants all of it taken.
func TestClassicRock(t *testing.T) {
	data := filepath.Join("..", "..", "..", "..", "shared", "data", "classicrock")
	if _, err := os.Stat(data); err != nil {
		t.Skip("skipped:", err)
	}
	a := &api{}
	cfg := config(t, a)
	cfg.File, cfg.Catalog = filepath.Join(data, "events.tsv.gz"), filepath.Join(data, "tracks.tsv.gz")
	cfg.Shift = true
	out := mustRun(t, cfg)
	kinds := map[event.Kind]int{}
	for i, e := range a.events {
		kinds[e.Kind]++
		if err := e.Validate(time.Now()); err != nil {
			t.Fatalf("%v: %v", e, err)
		}
		if i > 0 && e.Time.Before(a.events[i-1].Time) {
			t.Fatalf("%v comes after %v", e, a.events[i-1])
		}
	}
	want := map[event.Kind]int{event.Played: 32642, event.Hearted: 898, event.Followed: 2696}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, out)
	}
	if ids := idsOf(a.events); len(slices.Compact(ids)) != len(a.events) {
		t.Error("two events have one id")
	}
	if slices.Max(a.sizes) > 1000 {
		t.Errorf("a batch of %d events", slices.Max(a.sizes))
	}
}

func TestBadConfigs(t *testing.T) {
	a := &api{}
	good := config(t, a)
	good.File = file(t, "log.tsv", smallTSV)
	for _, tt := range []struct {
		change func(*replay.Config)
		want   string
	}{
		{func(c *replay.Config) { c.File = "" }, "file:"},
		{func(c *replay.Config) { c.File += ".missing" }, "opening log"},
		{func(c *replay.Config) { c.Catalog += ".missing" }, "opening catalogue"},
		{func(c *replay.Config) { c.File = c.Catalog }, `column "ts" is missing`},
		{func(c *replay.Config) { c.File = file(t, "empty.tsv", "") }, "empty"},
		{func(c *replay.Config) { c.File = file(t, "not.tsv", "\x1f\x8bnot zipped at all") }, "opening log"},
		{func(c *replay.Config) { c.File = cut(t, file(t, "cut.gz", smallTSV)) }, "unexpected EOF"},
		{func(c *replay.Config) { c.Format = "csv" }, "format:"},
		{func(c *replay.Config) { c.Format, c.Catalog = replay.ListenBrainz, "" }, "catalog:"},
		{func(c *replay.Config) { c.User = "bob" }, "user:"},
		{func(c *replay.Config) { c.Format, c.User = replay.ListenBrainz, "b b" }, "user:"},
		{func(c *replay.Config) { c.Speed = -1 }, "speed:"},
		{func(c *replay.Config) { c.Speed, c.Shift = 2, true }, "speed:"},
		{func(c *replay.Config) { c.End = time.Unix(1, 0) }, "end:"},
		{func(c *replay.Config) { c.Shift, c.End = true, time.Now().Add(time.Hour) }, "end:"},
		{func(c *replay.Config) { c.To = "localhost:8080" }, "to:"},
	} {
		cfg := good
		tt.change(&cfg)
		if err := replay.Run(context.Background(), cfg, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error about %s", err, tt.want)
		}
	}
	if len(a.events) > 0 {
		t.Errorf("%d events were sent", len(a.events))
	}
}
