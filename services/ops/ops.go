// Package ops is what every process of homefeed shows to those who run it: liveness, readiness and metrics on an
// address of their own, its configuration at start, and an orderly end.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry is a registry with the Go runtime's and the process' own metrics.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Check says whether one part of the process can do its work; it observes ctx.
type Check func(ctx context.Context) error

// Health collects the checks of a process. The zero Health is ready.
type Health struct {
	mu     sync.Mutex
	names  []string
	checks map[string]Check
}

// Add adds a check under a name that tells an operator where to look.
func (h *Health) Add(name string, c Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]Check{}
	}
	if _, has := h.checks[name]; !has {
		h.names = append(h.names, name)
	}
	h.checks[name] = c
}

// Failing runs every check and returns what each failing one says, by its name.
func (h *Health) Failing(ctx context.Context) map[string]string {
	h.mu.Lock()
	names, checks := append([]string(nil), h.names...), make(map[string]Check, len(h.checks))
	for n, c := range h.checks {
		checks[n] = c
	}
	h.mu.Unlock()
	failing := map[string]string{}
	for _, n := range names {
		if err := checks[n](ctx); err != nil {
			failing[n] = err.Error()
		}
	}
	return failing
}

// checkTimeout bounds one round of readiness checks.
const checkTimeout = 2 * time.Second

// Handler serves /healthz (the process answers), /readyz (every check passes; else 503 and which fail), /metrics,
// and Go's profiles under /debug/pprof/.
func Handler(g prometheus.Gatherer, h *Health) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		failing := h.Failing(ctx)
		w.Header().Set("Content-Type", "application/json")
		if len(failing) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(map[string]any{"ready": len(failing) == 0, "failing": failing})
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{Timeout: 5 * time.Second}))
	return mux
}

// drainTimeout is how long requests under way may take to finish after ctx ends.
const drainTimeout = 10 * time.Second

// ServeHTTP serves until ctx ends, then lets requests under way finish. It returns nil after an orderly end.
func ServeHTTP(ctx context.Context, ln net.Listener, srv *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving http on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		srv.Close()
		return fmt.Errorf("draining http on %s: %w", ln.Addr(), err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving http on %s: %w", ln.Addr(), err)
	}
	return nil
}

// ServeAdmin serves Handler on addr until ctx ends.
func ServeAdmin(ctx context.Context, addr string, g prometheus.Gatherer, h *Health, log *slog.Logger) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("admin address: %w", err)
	}
	log.Info("admin", "address", "http://"+ln.Addr().String())
	return ServeHTTP(ctx, ln, &http.Server{
		Handler:           Handler(g, h),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	})
}
