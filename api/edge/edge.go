// Package edge is what every route has around it: who may come, how often and for how long, the headers that make an
// answer safe, one form of errors, metrics and a line in the log.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
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
	Timeout    time.Duration // of a whole request that changes something
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
	plain   map[string]http.Handler                                                             // those of mux that are for GET and one path, which are found faster here
	recall  func(r *http.Request, now time.Time) (who identity.Identity, known bool, err error) // nil: the Verifier remembers nobody
}

// New makes an Edge. It fails if its metrics' names are taken.
func New(c Config, routes []Route) (*Edge, error) {
	e := &Edge{Config: c, plain: map[string]http.Handler{}}
	var err error
	if e.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, err
	}
	if e.callers, err = newCallers(c.Rates); err != nil {
		return nil, err
	}
	if v, ok := c.Verifier.(interface {
		Recall(*http.Request, time.Time) (identity.Identity, bool, error)
	}); ok {
		e.recall = v.Recall
	}
	e.mux = e.newMux(routes)
	return e, nil
}

// Close ends the background work.
func (e *Edge) Close() { e.callers.buckets.StopAllGoroutines() }

// newMux answers unknown paths and wrong methods in the API's own form.
func (e *Edge) newMux(routes []Route) *http.ServeMux {
	mux := http.NewServeMux()
	unknown := e.serve("unknown", func(http.ResponseWriter, *http.Request, time.Time) error {
		return apierror.NotFound("ROUTE_UNKNOWN", "there is no such address")
	})
	mux.Handle("/", unknown)
	places := map[string]*place{}
	for _, rt := range routes {
		path, verb := cutVerb(rt.Path)
		p, known := places[path]
		if !known {
			p = &place{wildcard: lastWildcard(path), verbs: map[string]map[string]http.Handler{}, unknown: unknown}
			places[path] = p
			mux.Handle(path, p)
		}
		if p.verbs[verb] == nil {
			p.verbs[verb] = map[string]http.Handler{}
		}
		handler := e.serve(rt.Path, e.admitted(rt))
		p.verbs[verb][rt.Method] = handler
		if rt.Method == http.MethodGet {
			p.verbs[verb][http.MethodHead] = handler
		}
		if rt.Method == http.MethodGet && p.wildcard == "" {
			e.plain[rt.Path] = handler
		}
	}
	for path, p := range places {
		for verb, methods := range p.verbs {
			p.verbs[verb][""] = e.serve(joinVerb(path, verb), notAllowed(slices.Sorted(maps.Keys(methods))))
		}
	}
	return mux
}

// timedHandler answers a request that began at a time: a clock costs as much as all that is asked of it here.
type timedHandler func(w http.ResponseWriter, r *http.Request, began time.Time) error

// admitted is the route for those who may.
func (e *Edge) admitted(rt Route) timedHandler {
	return func(w http.ResponseWriter, r *http.Request, began time.Time) error {
		who, err := e.identify(r, began, rt.Full)
		if err != nil {
			return err
		}
		if err := e.callers.admit(who, began); err != nil {
			return err
		}
		if err := rt.May(who); err != nil {
			return err
		}
		if rt.Method == http.MethodGet { // whatever a read waits for has a deadline of its own, and most wait for nothing
			return rt.Handle(w, r, who)
		}
		ctx, cancel := context.WithTimeout(r.Context(), e.Timeout)
		defer cancel()
		return rt.Handle(w, r.WithContext(ctx), who)
	}
}

// identify is who the token says is calling. Checking a signature costs more than all else of a refusal: while there is no
// place, that is not done for those who would be refused behind it. full may be nil.
func (e *Edge) identify(r *http.Request, now time.Time, full func() error) (identity.Identity, error) {
	if full != nil && e.recall != nil {
		who, known, err := e.recall(r, now)
		switch {
		case err != nil:
			return who, e.unverified(err)
		case known:
			return who, nil
		}
		if err := full(); err != nil {
			return who, err
		}
	}
	who, err := e.Verifier.Verify(r.Context(), r)
	if err != nil {
		return who, e.unverified(err)
	}
	return who, nil
}

func notAllowed(allow []string) timedHandler {
	return func(http.ResponseWriter, *http.Request, time.Time) error {
		return &apierror.Error{
			Code: code.Code_UNIMPLEMENTED, HTTP: http.StatusMethodNotAllowed, Reason: "METHOD_NOT_ALLOWED",
			Message: "want " + strings.Join(allow, " or "), Allow: allow,
		}
	}
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
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if handler := e.plain[r.URL.Path]; handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
	}
	e.mux.ServeHTTP(w, r)
}

// serve wraps what every request has: headers, recovery, one place for errors, metrics and a log line.
// Of the request it logs the route and never the path: paths have listeners' ids in them.
func (e *Edge) serve(name string, handle timedHandler) http.Handler {
	safe := safeHeaders()
	seen := e.metrics.route(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := e.Now()
		h := w.Header()
		for _, one := range safe {
			h[one.Name] = one.Value
		}

		sent := &recorder{ResponseWriter: w}
		err := e.guarded(sent, r, began, handle)
		if err != nil {
			failed := apierror.From(err)
			if failed.Code == code.Code_INTERNAL {
				e.Log.Error("request failed", "route", name, "error", err, "stack", stackOf(err))
			}
			if sent.status == 0 {
				apierror.Write(sent, failed, WantsProtobuf(r))
			} else { // it is too late to say so: the connection ends with the answer cut off
				defer panic(http.ErrAbortHandler)
			}
		}
		took := e.Now().Sub(began)
		seen(sent.status, took)
		if e.Log.Enabled(r.Context(), slog.LevelDebug) {
			e.Log.Debug("request", "route", name, "code", sent.status, "took", took, "error", err)
		}
	})
}

// guarded turns a panic into an error.
func (e *Edge) guarded(w http.ResponseWriter, r *http.Request, began time.Time, handle timedHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Faults.Panicked()
			err = &panicked{p, debug.Stack()}
		}
	}()
	return handle(w, r, began)
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
