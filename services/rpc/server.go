// Package rpc is the gRPC that homefeed's services share: a server and a connection with the same deadlines,
// retries, limits, metrics and errors everywhere, so that a service is its handlers and nothing else.
//
// Every method of homefeed's services is safe to call twice: reads are reads, and writes are idempotent. That is
// what allows Dial's connections to try again by themselves.
package rpc

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

// The defaults of ServerOptions and DialOptions.
const (
	DefaultMaxConcurrent = 128
	DefaultTimeout       = 10 * time.Second
	DefaultDrain         = 10 * time.Second
	DefaultMaxMessage    = 8 << 20
)

// maxHeaders is the bytes of a call's metadata, a token for one; gRPC's own limit is 16 MiB.
const maxHeaders = 16 << 10

// ServerOptions says how a Server behaves. Zero fields take the defaults above.
type ServerOptions struct {
	Registerer prometheus.Registerer // nil: the metrics are kept and not registered
	Logger     *slog.Logger          // nil: nothing is logged
	TLS        *tls.Config           // nil: plaintext, for loopback and networks that encrypt
	// Reflection lets tools list the methods. It tells strangers about the service, so: in development only.
	Reflection bool
	// MaxConcurrent is how many handlers run at once. More calls wait for their turn, for half of the time that
	// their deadline leaves, and then get RESOURCE_EXHAUSTED; a connection may have twice as many calls open
	// before it has to wait itself.
	MaxConcurrent int
	// Operators are full names of methods that run beside those: what people call to mend a service must not wait behind
	// the calls that it is slow for. Such a method bounds by itself how much of it runs at once.
	Operators  []string
	Timeout    time.Duration // the deadline of a call that came without one
	Drain      time.Duration // how long Serve waits for calls in progress when it ends
	MaxMessage int           // bytes of the largest request and answer
	MaxRequest int           // bytes of the largest request; 0: MaxMessage
}

// Server is a gRPC server. Register services with it, then Serve.
type Server struct {
	grpc     *grpc.Server
	methods  map[string]method // by full name, for Direct
	health   *health.Server
	log      *slog.Logger
	calls    *calls
	slots    chan struct{}
	slotless []string // methods that take none
	timeout  time.Duration
	drain    time.Duration
}

// NewServer makes a server. It fails only if its metrics' names are taken by something else.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = DefaultMaxConcurrent
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	c, err := newCalls(o.Registerer, "server")
	if err != nil {
		return nil, err
	}
	s := &Server{
		methods:  map[string]method{},
		health:   health.NewServer(),
		log:      o.Logger,
		calls:    c,
		slots:    make(chan struct{}, o.MaxConcurrent),
		slotless: o.Operators,
		timeout:  orDefault(o.Timeout, DefaultTimeout),
		drain:    orDefault(o.Drain, DefaultDrain),
	}
	s.grpc = grpc.NewServer(s.options(o)...)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	if o.Reflection {
		reflection.Register(s.grpc)
	}
	return s, nil
}

func (s *Server) options(o ServerOptions) []grpc.ServerOption {
	options := []grpc.ServerOption{
		encodedToo(),
		grpc.MaxRecvMsgSize(cmp.Or(o.MaxRequest, o.MaxMessage)),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxSendMsgSize(o.MaxMessage),
		grpc.MaxConcurrentStreams(uint32(2 * o.MaxConcurrent)),
		grpc.ConnectionTimeout(DefaultTimeout),
		// Clients ping every 30 s (Dial); whoever pings much more often is cut off.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: 10 * time.Second, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: time.Minute, Timeout: 20 * time.Second,
			// Connections end now and then, so that clients find new servers by round robin.
			MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: time.Minute,
		}),
		grpc.UnaryInterceptor(s.around),
		grpc.StreamInterceptor(s.recoverStream),
	}
	if o.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(o.TLS)))
	}
	return options
}

// method is a unary method of a registered service.
type method struct {
	impl    any
	handler grpc.MethodHandler
}

// RegisterService makes *Server a grpc.ServiceRegistrar. The service is reported healthy from then on.
func (s *Server) RegisterService(d *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(d, impl)
	for _, m := range d.Methods {
		s.methods["/"+d.ServiceName+"/"+m.MethodName] = method{impl, m.Handler}
	}
	s.health.SetServingStatus(d.ServiceName, healthpb.HealthCheckResponse_SERVING)
}

// Serve answers calls on l until ctx ends. Then it reports itself unhealthy, takes no new calls, and gives those
// in progress ServerOptions.Drain to end, after which they are cut off. It closes l. The error is nil unless
// the listener failed; a server that has served can't serve again.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving gRPC on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.health.Shutdown()
	cutOff := time.AfterFunc(s.drain, s.grpc.Stop)
	defer cutOff.Stop()
	s.grpc.GracefulStop()
	return <-served
}

// around is what every call has around its handler.
func (s *Server) around(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	for _, wrap := range [...]grpc.UnaryServerInterceptor{s.bound, s.mapError, s.recoverUnary, s.measure} { // innermost first
		inner := next
		next = func(ctx context.Context, req any) (any, error) { return wrap(ctx, req, info, inner) }
	}
	return next(ctx, req)
}

func (s *Server) measure(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	end := s.calls.begin(info.FullMethod)
	resp, err := next(ctx, req)
	end(err)
	return resp, err
}

func (s *Server) mapError(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err == nil {
		return resp, nil
	}
	err = Error(err)
	if status.Code(err) == codes.Internal {
		s.log.ErrorContext(ctx, "call failed", "method", info.FullMethod, "error", err)
	}
	return nil, err
}

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, s.panicked(ctx, info.FullMethod, p)
		}
	}()
	return next(ctx, req)
}

func (s *Server) recoverStream(impl any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(stream.Context(), info.FullMethod, p)
		}
	}()
	return next(impl, stream)
}

func (s *Server) panicked(ctx context.Context, method string, p any) error {
	s.calls.panics.WithLabelValues(method).Inc()
	s.log.ErrorContext(ctx, "handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "the handler panicked; the server's log has the stack")
}

// bound gives a call a deadline if it has none, and a slot among those that run at once. Health is always
// answered: a busy server is not a broken one.
func (s *Server) bound(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		ctx = bounded
	}
	if strings.HasPrefix(info.FullMethod, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") || slices.Contains(s.slotless, info.FullMethod) {
		return next(ctx, req)
	}
	if err := s.takeSlot(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.slots }()
	return next(ctx, req)
}

// takeSlot gives up after half of the time that is left: what remains is for the answer to arrive, and a call that
// got its slot later would hardly finish.
func (s *Server) takeSlot(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	deadline, _ := ctx.Deadline()
	wait := time.NewTimer(time.Until(deadline) / 2)
	defer wait.Stop()
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for one of %d slots: %w", cap(s.slots), ctx.Err())
	case <-wait.C:
		return fmt.Errorf("all of %d slots are taken: %w", cap(s.slots), ErrBusy)
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
