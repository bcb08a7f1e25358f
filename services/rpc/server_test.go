package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"homefeed/services/rpc"
)

const (
	service = "homefeed.test.Probe"
	method  = "/homefeed.test.Probe/Do"
)

// register gives s a service with one method, which does what do says.
func register(s grpc.ServiceRegistrar, do func(context.Context) error) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		Methods: []grpc.MethodDesc{{MethodName: "Do",
			Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
				req := new(emptypb.Empty)
				if err := decode(req); err != nil {
					return nil, err
				}
				handler := func(ctx context.Context, _ any) (any, error) { return new(emptypb.Empty), do(ctx) }
				return intercept(ctx, req, &grpc.UnaryServerInfo{FullMethod: method}, handler)
			}}},
	}, nil)
}

func call(ctx context.Context, conn grpc.ClientConnInterface) error {
	return conn.Invoke(ctx, method, new(emptypb.Empty), new(emptypb.Empty))
}

func newServer(t *testing.T, o rpc.ServerOptions, do func(context.Context) error) *rpc.Server {
	t.Helper()
	s, err := rpc.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	register(s, do)
	return s
}

func inProcess(t *testing.T, so rpc.ServerOptions, co rpc.DialOptions, do func(context.Context) error) *grpc.ClientConn {
	t.Helper()
	conn, stop, err := rpc.InProcess(newServer(t, so, do), co)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return conn
}

// direct is inProcess without the transport.
func direct(t *testing.T, so rpc.ServerOptions, co rpc.DialOptions, do func(context.Context) error) grpc.ClientConnInterface {
	t.Helper()
	conn, err := rpc.Direct(newServer(t, so, do), co)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

type connector func(*testing.T, rpc.ServerOptions, rpc.DialOptions, func(context.Context) error) grpc.ClientConnInterface

// both are the ways in which a process can call itself.
var both = map[string]connector{
	"in process": func(t *testing.T, so rpc.ServerOptions, co rpc.DialOptions, do func(context.Context) error) grpc.ClientConnInterface {
		return inProcess(t, so, co, do)
	},
	"direct": direct,
}

func TestPanic(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) { testPanic(t, connect) })
	}
}

func testPanic(t *testing.T, connect connector) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	broken := true
	conn := connect(t, rpc.ServerOptions{Registerer: registry, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		rpc.DialOptions{}, func(context.Context) error {
			if broken {
				panic("out of cheese")
			}
			return nil
		})
	err := call(t.Context(), conn)
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "cheese") {
		t.Errorf("%v: want INTERNAL that doesn't tell strangers why", err)
	}
	broken = false
	if err := call(t.Context(), conn); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if text := log.String(); !strings.Contains(text, "out of cheese") || !strings.Contains(text, "server_test.go") {
		t.Errorf("the log has no reason or no stack: %s", text)
	}
	if got := metric(t, registry, "homefeed_rpc_server_panics_total", "method", method); got != 1 {
		t.Errorf("counted %v panics, want 1", got)
	}
	for _, code := range []string{"OK", "Internal"} {
		if got := metric(t, registry, "homefeed_rpc_server_duration_seconds", "code", code); got != 1 {
			t.Errorf("measured %v calls with %s, want 1", got, code)
		}
	}
}

// metric is a counter's value, or how many values a histogram has, where a label has a value.
func metric(t *testing.T, g prometheus.Gatherer, name, label, value string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return sum
}

func TestSharedMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	ok := func(context.Context) error { return nil }
	for range 2 {
		conn := inProcess(t, rpc.ServerOptions{Registerer: registry}, rpc.DialOptions{Registerer: registry}, ok)
		if err := call(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	for _, side := range []string{"server", "client"} {
		if got := metric(t, registry, "homefeed_rpc_"+side+"_duration_seconds", "method", method); got != 2 {
			t.Errorf("the %ss measured %v calls, want 2", side, got)
		}
	}
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "homefeed_rpc_server_panics_total", Help: "mine"}))
	if _, err := rpc.NewServer(rpc.ServerOptions{Registerer: taken}); err == nil {
		t.Error("a metric's name was taken and NewServer said nothing")
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve serves on loopback until the test ends.
func serve(t *testing.T, s *rpc.Server) string {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// TestEncoded sends an answer that is protobuf already.
func TestEncoded(t *testing.T) {
	want := wrapperspb.String("as it is")
	encoded, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	s, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: service, Methods: []grpc.MethodDesc{{MethodName: "Do",
		Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			return rpc.Encoded(encoded), nil
		}}}}, nil)
	direct, err := rpc.Direct(s, rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, stop, err := rpc.InProcess(s, rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for name, conn := range map[string]grpc.ClientConnInterface{"in process": conn, "direct": direct} {
		got := new(wrapperspb.StringValue)
		if err := conn.Invoke(t.Context(), method, new(emptypb.Empty), got); err != nil || got.Value != want.Value {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err := conn.Invoke(t.Context(), method, new(emptypb.Empty), new(emptypb.Empty)); err != nil { // one field more than known
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBusy fills the one slot: the next call is told so, health is answered, and then the slot is free again.
func TestDirect(t *testing.T) {
	conn := direct(t, rpc.ServerOptions{}, rpc.DialOptions{Timeout: time.Millisecond}, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err := call(t.Context(), conn); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without a deadline: %v, want the one of its options", err)
	}
	if err := conn.Invoke(t.Context(), "/homefeed.test.Probe/Undo", new(emptypb.Empty), new(emptypb.Empty)); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that isn't there: %v", err)
	}
	if err := conn.Invoke(t.Context(), method, "text", new(emptypb.Empty)); status.Code(err) != codes.Internal {
		t.Errorf("a request that is no message: %v", err)
	}
	if _, err := conn.NewStream(t.Context(), nil, method); status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: %v", err)
	}
}

// TestDrain ends a server while a call is in progress: the call ends well, and then Serve does.
func TestDrain(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := newServer(t, rpc.ServerOptions{Drain: time.Minute}, func(context.Context) error {
		close(begun)
		<-release
		return nil
	})
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served, called := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	conn, err := rpc.Dial(l.Addr().String(), rpc.DialOptions{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { called <- call(t.Context(), conn) }()
	<-begun
	cancel()
	for { // until the listener is closed, which is after ctx's end has been seen
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case err := <-served:
		t.Fatalf("Serve ended before the call: %v", err)
	default:
	}
	close(release)
	if err := <-called; err != nil {
		t.Errorf("the call in progress: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestCutOff ends a server whose call doesn't.
func TestCutOff(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	s := newServer(t, rpc.ServerOptions{Drain: time.Millisecond}, func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served, called := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	conn, err := rpc.Dial(l.Addr().String(), rpc.DialOptions{Timeout: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { called <- call(t.Context(), conn) }()
	<-begun
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-called; err == nil {
		t.Error("a call that was cut off succeeded")
	}
}

func TestListenerFails(t *testing.T) {
	l := listen(t)
	l.Close()
	s := newServer(t, rpc.ServerOptions{}, func(context.Context) error { return nil })
	if err := s.Serve(t.Context(), l); err == nil {
		t.Error("Serve on a closed listener: no error")
	}
}

// TestReflection: tools can ask for the services in development and not otherwise.
func TestReflection(t *testing.T) {
	for _, on := range []bool{true, false} {
		conn := inProcess(t, rpc.ServerOptions{Reflection: on}, rpc.DialOptions{}, func(context.Context) error { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectionpb.ServerReflectionRequest{ // its error is Recv's
			MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		answer, err := stream.Recv()
		if (err == nil) != on {
			t.Errorf("reflection %t: %v", on, err)
		}
		if on && !strings.Contains(answer.String(), service) {
			t.Errorf("%v doesn't name %s", answer, service)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
}
