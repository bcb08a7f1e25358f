package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"homefeed/services/rpc"
)

// TestRetry: what is unavailable is tried again, and nothing else is.
func TestRetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err   error
		calls int64
		code  codes.Code
	}{
		{rpc.ErrUnavailable, 3, codes.OK},
		{errors.New("broken"), 1, codes.Internal},
		{rpc.ErrBusy, 1, codes.ResourceExhausted},
	} {
		var calls atomic.Int64
		conn := inProcess(t, rpc.ServerOptions{}, rpc.DialOptions{Timeout: time.Minute}, func(context.Context) error {
			if calls.Add(1) < 3 {
				return test.err
			}
			return nil
		})
		if err := call(t.Context(), conn); status.Code(err) != test.code || calls.Load() != test.calls {
			t.Errorf("%v: after %d calls %v; want %d calls and %s", test.err, calls.Load(), err, test.calls, test.code)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l := listen(t)
	l.Close()
	conn, err := rpc.Dial(l.Addr().String(), rpc.DialOptions{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := call(t.Context(), conn); !errors.Is(err, rpc.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

// TestDeadlines: a handler always has one, from the caller, from the connection, or from the server.
func TestDeadlines(t *testing.T) {
	left := make(chan time.Duration, 1)
	addr := serve(t, newServer(t, rpc.ServerOptions{Timeout: 3 * time.Hour}, func(ctx context.Context) error {
		deadline, ok := ctx.Deadline()
		if !ok {
			return errors.New("no deadline")
		}
		left <- time.Until(deadline)
		return nil
	}))
	ours, err := rpc.Dial(addr, rpc.DialOptions{Timeout: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	foreign, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	within, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		conn *grpc.ClientConn
		want time.Duration
	}{
		{"the caller's", within, ours, time.Hour},
		{"the connection's", t.Context(), ours, 2 * time.Hour},
		{"the server's", t.Context(), foreign, 3 * time.Hour},
	} {
		if err := call(test.ctx, test.conn); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got := <-left; got > test.want || got < test.want-30*time.Minute {
			t.Errorf("%s: %v left, want about %v", test.name, got, test.want)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // only for its certificate
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	addr := serve(t, newServer(t, rpc.ServerOptions{TLS: &tls.Config{Certificates: web.TLS.Certificates}},
		func(context.Context) error { return nil }))
	for _, test := range []struct {
		name string
		o    rpc.DialOptions
		ok   bool
	}{
		{"known root", rpc.DialOptions{TLS: &tls.Config{RootCAs: roots}}, true},
		{"unknown root", rpc.DialOptions{TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, false},
		{"plaintext", rpc.DialOptions{}, false},
	} {
		test.o.Timeout = time.Minute
		conn, err := rpc.Dial(addr, test.o)
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t.Context(), conn); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		conn.Close()
	}
	if _, err := rpc.Dial(addr, rpc.DialOptions{TLS: &tls.Config{}, Plaintext: true}); err == nil {
		t.Error("Dial with TLS and Plaintext: no error")
	}
	if _, err := rpc.Dial("", rpc.DialOptions{}); err == nil {
		t.Error("Dial of nothing: no error")
	}
}
