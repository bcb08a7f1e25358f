// Package edge is what every route has around it: who may come, how often and for how long, the headers that make an
// answer safe, one form of errors, metrics and a line in the log.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
	"homefeed/api/faults"
	"homefeed/api/identity"
)

// Config is what an Edge is made of. All but Registerer is needed.
type Config struct {
	Verifier   identity.Verifier
	Rates      Rates
	Timeout    time.Duration // of a whole request
	Faults     *faults.Faults
	Registerer prometheus.Registerer // nil: not registered
	Log        *slog.Logger
	Now        func() time.Time
}

// Edge is an http.Handler of its routes, which answers unknown addresses and wrong methods too.
type Edge struct {
	Config
	callers *callers
	metrics *metrics
	mux     *http.ServeMux
}

// New makes an Edge. It fails if its metrics' names are taken.
func New(c Config, routes []Route) (*Edge, error) {
	e := &Edge{Config: c}
	var err error
	if e.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, err
	}
	if e.callers, err = newCallers(c.Rates); err != nil {
		return nil, err
	}
	e.mux = e.newMux(routes)
	return e, nil
}

// Close ends the background work.
func (e *Edge) Close() { e.callers.buckets.StopAllGoroutines() }

// newMux answers unknown paths and wrong methods in the API's own form.
func (e *Edge) newMux(routes []Route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.Handle(rt.Method+" "+rt.Path, e.serve(rt.Path, func(w http.ResponseWriter, r *http.Request) error {
			who, err := e.Verifier.Verify(r.Context(), r)
			if err != nil {
				return e.unverified(err)
			}
			if err := e.callers.admit(who, e.Now()); err != nil {
				return err
			}
			if err := rt.May(who); err != nil {
				return err
			}
			return rt.Handle(w, r, who)
		}))
		allow := []string{rt.Method}
		if rt.Method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
		mux.Handle(rt.Path, e.serve(rt.Path, func(http.ResponseWriter, *http.Request) error {
			return &apierror.Error{
				Code: code.Code_UNIMPLEMENTED, HTTP: http.StatusMethodNotAllowed, Reason: "METHOD_NOT_ALLOWED",
				Message: "want " + strings.Join(allow, " or "), Allow: allow,
			}
		}))
	}
	mux.Handle("/", e.serve("unknown", func(http.ResponseWriter, *http.Request) error {
		return apierror.NotFound("ROUTE_UNKNOWN", "there is no such address")
	}))
	return mux
}

// unverified is a Verifier's error as the caller sees it.
func (e *Edge) unverified(err error) error {
	refused := &apierror.Error{Code: code.Code_UNAUTHENTICATED, Cause: err, Challenge: "Bearer"}
	switch {
	case errors.Is(err, identity.ErrNoToken):
		refused.Reason, refused.Message = "TOKEN_MISSING", identity.ErrNoToken.Error()
	case errors.Is(err, identity.ErrExpired):
		refused.Reason, refused.Message = "TOKEN_EXPIRED", identity.ErrExpired.Error()
		refused.Challenge = `Bearer error="invalid_token"`
	case errors.Is(err, identity.ErrInvalid):
		refused.Reason, refused.Message = "TOKEN_INVALID", identity.ErrInvalid.Error()
		refused.Challenge = `Bearer error="invalid_token"`
	default:
		e.Faults.Degraded("identity", err)
		return apierror.Unavailable("IDENTITY_UNAVAILABLE", "tokens can't be verified just now", time.Second, err)
	}
	return refused
}

// ServeHTTP answers anything, unknown addresses too.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.mux.ServeHTTP(w, r) }

// serve wraps what every request has: headers, a deadline, recovery, one place for errors, metrics and a log line.
// Of the request it logs the route and never the path: paths have listeners' ids in them.
func (e *Edge) serve(name string, handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	safe := safeHeaders()
	seen := e.metrics.route(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := e.Now()
		ctx, cancel := context.WithTimeout(r.Context(), e.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		h := w.Header()
		for _, one := range safe {
			h[one.Name] = one.Value
		}

		sent := &recorder{ResponseWriter: w}
		err := e.guarded(sent, r, handle)
		if err != nil {
			failed := apierror.From(err)
			if failed.Code == code.Code_INTERNAL {
				e.Log.Error("request failed", "route", name, "error", err, "stack", stackOf(err))
			}
			if sent.status == 0 { // else it is too late: the connection ends with the answer cut off
				apierror.Write(sent, failed, WantsProtobuf(r))
			}
		}
		took := e.Now().Sub(began)
		seen(sent.status, took)
		if e.Log.Enabled(ctx, slog.LevelDebug) {
			e.Log.Debug("request", "route", name, "code", sent.status, "took", took, "error", err)
		}
	})
}

// guarded turns a panic into an error.
func (e *Edge) guarded(w http.ResponseWriter, r *http.Request, handle func(http.ResponseWriter, *http.Request) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Faults.Panicked()
			err = &panicked{p, debug.Stack()}
		}
	}()
	return handle(w, r)
}

type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func stackOf(err error) string {
	var p *panicked
	if errors.As(err, &p) {
		return string(p.stack)
	}
	return ""
}
