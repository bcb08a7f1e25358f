package ops_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"homefeed/services/ops"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestHandler(t *testing.T) {
	var health ops.Health
	h := ops.Handler(ops.NewRegistry(), &health)

	if code, body := get(t, h, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz = %d %q", code, body)
	}
	if code, body := get(t, h, "/readyz"); code != 200 || !strings.Contains(body, `"ready":true`) {
		t.Errorf("/readyz without checks = %d %q", code, body)
	}
	broken := errors.New("the store is away")
	health.Add("store", func(context.Context) error { return broken })
	if code, body := get(t, h, "/readyz"); code != 503 || !strings.Contains(body, "the store is away") {
		t.Errorf("/readyz with a failing check = %d %q, want 503 and the reason", code, body)
	}
	broken = nil
	if code, _ := get(t, h, "/readyz"); code != 200 {
		t.Errorf("/readyz after recovery = %d", code)
	}
	if code, body := get(t, h, "/metrics"); code != 200 || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics = %d, without go_goroutines", code)
	}
}

// A request that is under way when the process is told to stop gets its answer.
func TestServeHTTPDrains(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	arrived, proceed := make(chan struct{}), make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-proceed
		io.WriteString(w, "done")
	})}
	ended := make(chan error, 1)
	go func() { ended <- ops.ServeHTTP(ctx, ln, srv) }()

	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-arrived
	stop()
	close(proceed)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("ServeHTTP = %v, want nil after an orderly end", err)
	}
}

func TestLogConfigHidesSecrets(t *testing.T) {
	var b bytes.Buffer
	ops.LogConfig(slog.New(slog.NewTextHandler(&b, nil)), "demo", &struct {
		Listen string
		Token  string `secret:"true"`
	}{"127.0.0.1:8080", "hunter2"})
	if got := b.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, "config.tokenSet=true") || !strings.Contains(got, "config.listen=127.0.0.1:8080") {
		t.Errorf("log line: %s", got)
	}
}
