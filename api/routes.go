package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
	"homefeed/api/identity"
)

// The media types.
const (
	typeJSON     = "application/json"
	typeProtobuf = "application/x-protobuf"
)

// handler answers a request of a caller who may make it, or returns why not before anything is written.
type handler func(w http.ResponseWriter, r *http.Request, who identity.Identity) error

// route is a line of the API. TestAccess has a row for each route and kind of caller.
type route struct {
	method string
	path   string
	may    func(identity.Identity) error
	handle handler
}

func (a *API) routes() []route {
	return []route{
		{http.MethodGet, "/v1/home", listeners, a.home},
		{http.MethodGet, "/v1/home/shelves/{shelf}", listeners, a.homeShelf},
		{http.MethodGet, "/v1/users/{user}/shelves/{shelf}", having(identity.Viewer), a.userShelf},
		{http.MethodDelete, "/v1/users/{user}", listenersOr(identity.Admin), a.erase},
		{http.MethodPost, "/v1/events", listenersOr(identity.Importer), a.events},
	}
}

func listeners(who identity.Identity) error {
	if who.User == "" {
		return apierror.Denied("LISTENER_NEEDED", "this is for listeners; the token is a service's")
	}
	return nil
}

func having(role identity.Role) func(identity.Identity) error {
	return func(who identity.Identity) error {
		if !who.Service || !who.Has(role) {
			return apierror.Denied("ROLE_NEEDED", fmt.Sprintf("this needs the role %s", role))
		}
		return nil
	}
}

func listenersOr(role identity.Role) func(identity.Identity) error {
	return func(who identity.Identity) error {
		if listeners(who) == nil {
			return nil
		}
		return having(role)(who)
	}
}

// newMux answers unknown paths and wrong methods in the API's own form.
func (a *API) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range a.routes() {
		mux.Handle(rt.method+" "+rt.path, a.serve(rt.path, func(w http.ResponseWriter, r *http.Request) error {
			who, err := a.verifier.Verify(r.Context(), r)
			if err != nil {
				return a.unverified(err)
			}
			if err := a.callers.admit(who, a.now()); err != nil {
				return err
			}
			if err := rt.may(who); err != nil {
				return err
			}
			return rt.handle(w, r, who)
		}))
		allow := []string{rt.method}
		if rt.method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
		mux.Handle(rt.path, a.serve(rt.path, func(http.ResponseWriter, *http.Request) error {
			return &apierror.Error{
				Code: code.Code_UNIMPLEMENTED, HTTP: http.StatusMethodNotAllowed, Reason: "METHOD_NOT_ALLOWED",
				Message: "want " + strings.Join(allow, " or "), Allow: allow,
			}
		}))
	}
	mux.Handle("/", a.serve("unknown", func(http.ResponseWriter, *http.Request) error {
		return apierror.NotFound("ROUTE_UNKNOWN", "there is no such address")
	}))
	return mux
}

// unverified is a Verifier's error as the caller sees it.
func (a *API) unverified(err error) error {
	e := &apierror.Error{Code: code.Code_UNAUTHENTICATED, Cause: err, Challenge: "Bearer"}
	switch {
	case errors.Is(err, identity.ErrNoToken):
		e.Reason, e.Message = "TOKEN_MISSING", identity.ErrNoToken.Error()
	case errors.Is(err, identity.ErrExpired):
		e.Reason, e.Message = "TOKEN_EXPIRED", identity.ErrExpired.Error()
		e.Challenge = `Bearer error="invalid_token"`
	case errors.Is(err, identity.ErrInvalid):
		e.Reason, e.Message = "TOKEN_INVALID", identity.ErrInvalid.Error()
		e.Challenge = `Bearer error="invalid_token"`
	default:
		a.degraded("identity", err)
		return apierror.Unavailable("IDENTITY_UNAVAILABLE", "tokens can't be verified just now", time.Second, err)
	}
	return e
}

// ServeHTTP answers anything, unknown addresses too.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// header is a header's line whose value all responses share, which saves Set's allocations. Its name is canonical.
type header struct {
	name  string
	value []string
}

// safeHeaders keep browsers from making anything of an answer but data.
func safeHeaders() []header {
	return []header{
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
		{"Referrer-Policy", []string{"no-referrer"}},
	}
}

// serve wraps what every request has: headers, a deadline, recovery, one place for errors, metrics and a log line.
// Of the request it logs the route and never the path: paths have listeners' ids in them.
func (a *API) serve(name string, handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	safe := safeHeaders()
	seen := a.metrics.route(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.now()
		ctx, cancel := context.WithTimeout(r.Context(), a.limits.Request)
		defer cancel()
		r = r.WithContext(ctx)
		h := w.Header()
		for _, one := range safe {
			h[one.name] = one.value
		}

		sent := &recorder{ResponseWriter: w}
		err := a.guarded(sent, r, handle)
		if err != nil {
			e := apierror.From(err)
			if e.Code == code.Code_INTERNAL {
				a.log.Error("request failed", "route", name, "error", err, "stack", stackOf(err))
			}
			if sent.status == 0 { // else it is too late: the connection ends with the answer cut off
				apierror.Write(sent, e, wantsProtobuf(r))
			}
		}
		took := a.now().Sub(began)
		seen(sent.status, took)
		if a.log.Enabled(ctx, slog.LevelDebug) {
			a.log.Debug("request", "route", name, "code", sent.status, "took", took, "error", err)
		}
	})
}

// guarded turns a panic into an error.
func (a *API) guarded(w http.ResponseWriter, r *http.Request, handle func(http.ResponseWriter, *http.Request) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.metrics.failures.WithLabelValues("panic").Inc()
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

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func isProtobuf(mediaType string) bool {
	return mediaType == typeProtobuf || mediaType == "application/protobuf"
}

// wantsProtobuf reads Accept: protobuf if it is asked for at least as much as JSON, which is what everybody else gets.
func wantsProtobuf(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	switch {
	case accept == typeProtobuf:
		return true
	case accept == "" || accept == typeJSON || !strings.Contains(accept, "protobuf"):
		return false
	}
	var protobuf, json float64
	for one := range strings.SplitSeq(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				q = 0
			}
		}
		switch {
		case isProtobuf(mediaType):
			protobuf = max(protobuf, q)
		case mediaType == typeJSON:
			json = max(json, q)
		}
	}
	return protobuf > 0 && protobuf >= json
}
