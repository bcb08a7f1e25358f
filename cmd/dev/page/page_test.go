package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/cmd/dev/page"
)

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func newPage(t *testing.T, c page.Config) http.Handler {
	t.Helper()
	if c.Listeners == nil {
		c.Listeners = func(context.Context) ([]page.Listener, error) { return nil, nil }
	}
	h, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestFiles holds that the page and all that it names are there, of the right types, and kept to themselves.
func TestFiles(t *testing.T) {
	h := newPage(t, page.Config{})
	index := get(t, h, "/")
	if index.Code != 200 || !strings.HasPrefix(index.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("/: %d %v", index.Code, index.Header())
	}
	types := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	named := regexp.MustCompile(`(?:src|href)="(/(?:assets|look)/[^"]+)"`).FindAllStringSubmatch(index.Body.String(), -1)
	if len(named) < 4 {
		t.Errorf("the page names %d files", len(named))
	}
	for _, n := range named {
		w := get(t, h, n[1])
		if want := types[n[1][strings.LastIndex(n[1], "."):]]; w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), want) {
			t.Errorf("%s: %d %v", n[1], w.Code, w.Header())
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", n[1], w.Header())
		}
	}
	policy := index.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	for _, path := range []string{"/nothing", "/assets/nothing.js", "/dev/way", "/dev/artist/t1"} {
		if w := get(t, h, path); w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}

// TestNoNetwork holds that no file names another machine and that nothing is parsed as HTML.
func TestNoNetwork(t *testing.T) {
	err := fs.WalkDir(os.DirFS("assets"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile("assets/" + path)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "")
		for _, word := range []string{"http:", "https:", "@import", "innerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", " onclick=\""} {
			if strings.Contains(text, word) {
				t.Errorf("%s: has %q", path, word)
			}
		}
		if lines := strings.Count(text, "\n"); lines >= 400 {
			t.Errorf("%s: has %d lines, want fewer than 400", path, lines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestListeners(t *testing.T) {
	h := newPage(t, page.Config{Listeners: func(context.Context) ([]page.Listener, error) {
		return []page.Listener{{ID: "ann", Name: "Ann", About: "likes jazz"}, {ID: "bob"}}, nil
	}})
	w := get(t, h, "/dev/listeners")
	const want = `{"listeners":[{"id":"ann","name":"Ann","about":"likes jazz"},{"id":"bob"}]}`
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(t, newPage(t, page.Config{}), "/dev/listeners"); w.Body.String() != `{"listeners":[]}` {
		t.Errorf("nobody: %s", w.Body)
	}
	h = newPage(t, page.Config{Listeners: func(context.Context) ([]page.Listener, error) { return nil, errors.New("secret") }})
	if w := get(t, h, "/dev/listeners"); w.Code != 503 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("failing: %d %s", w.Code, w.Body)
	}
	if _, err := page.New(page.Config{}); err == nil {
		t.Error("a page without listeners is no error")
	}
}

func TestArtist(t *testing.T) {
	h := newPage(t, page.Config{ArtistOf: func(_ context.Context, track string) (string, error) {
		return map[string]string{"t1": "a1"}[track], nil
	}})
	if w := get(t, h, "/dev/artist/t1"); w.Code != 200 || w.Body.String() != `{"artist":"a1"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(t, h, "/dev/artist/t2"); w.Code != 404 {
		t.Errorf("an unknown track: %d", w.Code)
	}
}

// TestWay holds that the counters are added up and the latencies' buckets are there.
func TestWay(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	accepted := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homefeed_api_events_accepted_total"}, []string{"kind"})
	accepted.WithLabelValues("played").Add(3)
	accepted.WithLabelValues("hearted").Add(2)
	published := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homefeed_pipeline_published_total"}, []string{"topic"})
	published.WithLabelValues("refresh-triggers").Add(4)
	published.WithLabelValues("other").Add(9)
	write := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "homefeed_refresh_write_seconds"})
	write.Observe(.001)
	visible := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "homefeed_refresh_event_to_visible_seconds", Buckets: []float64{1, 2, 4},
	}, []string{"shelf"})
	for range 10 {
		visible.WithLabelValues("discover").Observe(1.5)
	}
	visible.WithLabelValues("never")
	visible.WithLabelValues("slow").Observe(100)
	reg.MustRegister(accepted, published, write, visible)

	type hop struct {
		Name  string
		Count *int64
	}
	var got struct {
		Hops    []hop
		Visible []struct {
			Shelf   string
			Buckets []struct {
				Seconds float64
				Rows    int
			}
		}
	}
	w := get(t, newPage(t, page.Config{Metrics: reg}), "/dev/way")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	counts := map[string]int64{}
	for _, h := range got.Hops {
		if h.Count != nil {
			counts[h.Name] = *h.Count
		}
	}
	if diff := cmp.Diff(map[string]int64{"Event": 5, "Trigger": 4, "Row": 1}, counts); diff != "" || len(got.Hops) != 7 {
		t.Errorf("%d hops (-want +got):\n%s", len(got.Hops), diff)
	}
	want := "[{discover [{1 0} {2 10} {4 10}]} {slow [{1 0} {2 0} {4 1}]}]" // what is slower than all is in the last
	if visible := fmt.Sprint(got.Visible); visible != want {
		t.Errorf("visible: %s, want %s", visible, want)
	}
}
