package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"

	"homefeed/cmd/homefeed/replay"
	"homefeed/pipeline/eventpb"
)

func answer(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"not now","status":"UNAVAILABLE"}}`, code)
	}
}

// cutOff takes the whole request and hangs up in the middle of the answer.
func cutOff(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "half")
	panic(http.ErrAbortHandler)
}

// longTSV is a log of n plays, a second apart.
func longTSV(n int) string {
	var b strings.Builder
	b.WriteString("ts\tuser\tevent\tobject\n")
	for i := range n {
		fmt.Fprintf(&b, "%d\tuser-%d\tplay\tt1\n", 1_400_000_000+i, i%7)
	}
	return b.String()
}

// TestFailures holds that whatever passes is waited for, and that every event arrives.
func TestFailures(t *testing.T) {
	const events = 2500
	a := &api{fail: []http.HandlerFunc{
		answer(503), answer(429, "Retry-After", "0"), answer(500), answer(502), answer(408), cutOff, answer(504),
	}}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", longTSV(events))
	out := mustRun(t, cfg)
	if len(a.events) != events || len(a.sizes) != 3 || a.sizes[0] != 1000 {
		t.Errorf("%d events in batches of %v, want %d in 3", len(a.events), a.sizes, events)
	}
	for i, e := range a.events {
		if e.Time.Unix() != int64(1_400_000_000+i) {
			t.Fatalf("event %d is of %v: out of order", i, e.Time)
		}
	}
	if n := strings.Count(out, "waiting "); n != 7 || !strings.Contains(out, "not now") {
		t.Errorf("%d lines about waiting, want 7 with the reason:\n%s", n, out)
	}
}

// notifying is an io.Writer that tells when a word is written.
type notifying struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	word string
	once sync.Once
	seen chan struct{}
}

func (n *notifying) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buf.Write(p)
	if strings.Contains(n.buf.String(), n.word) {
		n.once.Do(func() { close(n.seen) })
	}
	return len(p), nil
}

// TestNobodyThere starts the other side only once the replay says that it waits for it.
func TestNobodyThere(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", smallTSV)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	cfg.To = "http://" + addr
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	out := &notifying{word: "waiting", seen: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- replay.Run(t.Context(), cfg, out) }()
	select {
	case <-out.seen:
	case err := <-done:
		t.Fatalf("it didn't wait: %v", err)
	}
	if listener, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: a}}
	server.Start()
	defer server.Close()
	if err := <-done; err != nil || len(a.events) != 4 {
		t.Errorf("%v, %d events, want 4", err, len(a.events))
	}
}

// TestStop ends a replay that waits: it says what is left, and the same run again sends it.
func TestStop(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", longTSV(1500))
	cfg.Shift, cfg.End = true, time.UnixMilli(1_500_000_000_000)
	cfg.Backoff = replay.Backoff{First: time.Hour, Most: time.Hour}
	a.fail = []http.HandlerFunc{nil, answer(503)}
	ctx, cancel := context.WithCancel(t.Context())
	out := &notifying{word: "waiting", seen: make(chan struct{})}
	go func() {
		<-out.seen
		cancel()
	}()
	err := replay.Run(ctx, cfg, out)
	if !errors.Is(err, context.Canceled) || len(a.events) != 1000 || !strings.Contains(out.buf.String(), "stopped with 500 events left") {
		t.Fatalf("%v, %d events:\n%s", err, len(a.events), &out.buf)
	}
	mustRun(t, cfg)
	ids := map[string]int{}
	for _, e := range a.events {
		ids[e.ID]++
	}
	if len(ids) != 1500 {
		t.Errorf("%d different events, want 1500", len(ids))
	}
}

// TestRefusedAsAWhole holds that what can't get better ends the replay at once, with the other side's words.
func TestRefusedAsAWhole(t *testing.T) {
	protoError := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.WriteHeader(http.StatusForbidden)
		writeProto(w, &status.Status{Code: 7, Message: "want a service's token"})
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"unauthenticated", answer(401), "401 Unauthorized: not now"},
		{"forbidden, protobuf", protoError, "403 Forbidden: want a service's token"},
		{"another server", answer(404), "404 Not Found"},
		{"not implemented", answer(501), "501 Not Implemented"},
		{"200 of something else", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "is this homefeed's API?"},
		{"too few results", func(w http.ResponseWriter, _ *http.Request) { writeProto(w, &eventpb.WriteEventsResponse{}) },
			"0 results for 4 events"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &api{fail: []http.HandlerFunc{tt.answer}}
			cfg := config(t, a)
			cfg.File = file(t, "log.tsv", smallTSV)
			err := replay.Run(t.Context(), cfg, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), cfg.Token) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if len(a.events) > 0 {
				t.Error("it went on")
			}
		})
	}
}

// inProcess hands requests to the handler without a network, so that synctest can turn the clock.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestRetryAfter holds that the other side is left alone for as long as it asks.
func TestRetryAfter(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", smallTSV)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		in20s := start.Add(27 * time.Second).UTC().Format(http.TimeFormat)
		a.fail = []http.HandlerFunc{answer(429, "Retry-After", "7"), answer(503, "Retry-After", in20s), answer(503, "Retry-After", "1000000")}
		cfg.Client = &http.Client{Transport: inProcess{a}}
		cfg.Shift = true // the clock stands in the year 2000
		mustRun(t, cfg)
		if took, want := time.Since(start), 27*time.Second+5*time.Minute; took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

// TestSpeed plays a log of 30 minutes at 60 times its speed.
func TestSpeed(t *testing.T) {
	a := &api{}
	cfg := config(t, a)
	cfg.File = file(t, "log.tsv", longTSV(1800))
	cfg.Speed = 60
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg.Client = &http.Client{Transport: inProcess{a}}
		out := mustRun(t, cfg)
		if took := time.Since(start); took < 29*time.Second || took > 31*time.Second {
			t.Errorf("it took %v, want 30s", took)
		}
		if len(a.events) != 1800 {
			t.Fatalf("%d events, want 1800", len(a.events))
		}
		for i, e := range a.events {
			want := start.Add(time.Duration(i) * time.Second / 60).Truncate(time.Millisecond)
			if !e.Time.Equal(want) {
				t.Fatalf("event %d is at %v, want %v", i, e.Time, want)
			}
			if late := a.arrived[i].Sub(e.Time); late < 0 || late > 20*time.Millisecond {
				t.Fatalf("event %d arrived %v after its time", i, late)
			}
		}
		if n := strings.Count(out, " of 1801 lines"); n < 5 || n > 6 {
			t.Errorf("%d lines of progress in 30 s, want one every 5 s:\n%s", n, out)
		}
	})
}
