// Package server is the CMS as an API: gRPC, gRPC-Web and JSON of one proto, by connect. Callers are checked before
// a byte of their request's body is read, by one table of what each method needs.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect" // gRPC, gRPC-Web and JSON over HTTP from one handler
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/cmspb"
	"homefeed/api/identity"
)

const (
	// maxBody is the most bytes of a request, before and after decompression: a document in JSON and some.
	maxBody = 1 << 20
	// callTimeout bounds a call, the slowest of which makes Homes for a sample of listeners.
	callTimeout = 15 * time.Second
	// maxChecks is how many checks are made at once: each makes hundreds of Homes.
	maxChecks = 2
)

// Config is what the server is made of. Desk, Checker with its Preview and Sample, and Verifier are needed.
type Config struct {
	Desk       *cms.Desk
	Checker    check.Checker
	Verifier   identity.Verifier
	Rate       float64               // calls a second that one person may make for long; 0 means 20
	Registerer prometheus.Registerer // nil: not registered
	Log        *slog.Logger          // nil: nothing is logged
	Now        func() time.Time      // nil: time.Now
}

// server is a cmspb.CmsHandler.
type server struct {
	desk    *cms.Desk
	checker check.Checker
	log     *slog.Logger
	now     func() time.Time
	seconds *prometheus.HistogramVec
	checks  chan struct{} // one a check being made
}

var _ cmspb.CmsHandler = (*server)(nil)

// New is the handler of every path below Path.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Desk == nil:
		return nil, errors.New("cms server: Desk: want one")
	case c.Verifier == nil:
		return nil, errors.New("cms server: Verifier: want one")
	case c.Checker.Preview == nil || c.Checker.Sample == nil || len(c.Checker.Shelves) == 0:
		return nil, errors.New("cms server: Checker: want its Shelves, Preview and Sample")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &server{
		desk: c.Desk, checker: c.Checker, log: c.Log, now: c.Now, checks: make(chan struct{}, maxChecks),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "homefeed_cms_request_duration_seconds",
			Help:    "Time of an editor's call by method and code; of calls that were refused a caller, only those let in.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		}, []string{"method", "code"}),
	}
	if c.Registerer != nil {
		if err := c.Registerer.Register(s.seconds); err != nil {
			return nil, fmt.Errorf("cms server: registering metrics: %w", err)
		}
	}
	_, handler := cmspb.NewCmsHandler(s,
		connect.WithReadMaxBytes(maxBody),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(s.each)),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, p any) error {
			s.log.Error("request failed", "method", method(spec.Procedure), "panic", p)
			return connectError(errors.New("panic"))
		}))
	return guard(handler, c), nil
}

// Protocols is what an http.Server has to speak for gRPC to work without TLS, too.
func Protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Path is below which the server answers.
const Path = "/" + cmspb.CmsName + "/"

func method(procedure string) string { return strings.TrimPrefix(procedure, Path) }

// each gives a call its deadline, and turns its error into what the caller sees.
func (s *server) each(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		began := s.now()
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		answer, err := next(ctx, r)
		code := "ok"
		if err != nil {
			shown := connectError(err)
			code = shown.Code().String()
			if shown.Code() == connect.CodeInternal || shown.Code() == connect.CodeUnavailable {
				s.log.Error("request failed", "method", method(r.Spec().Procedure), "error", err)
			}
			err = shown
		} else {
			answer.Header().Set("Cache-Control", "no-store")
		}
		s.seconds.WithLabelValues(method(r.Spec().Procedure), code).Observe(s.now().Sub(began).Seconds())
		return answer, err
	}
}
