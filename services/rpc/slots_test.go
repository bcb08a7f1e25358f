package rpc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"homefeed/services/rpc"
)

func TestBusy(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	conn := inProcess(t, rpc.ServerOptions{MaxConcurrent: 1}, rpc.DialOptions{Timeout: time.Minute}, func(ctx context.Context) error {
		select {
		case begun <- struct{}{}:
		case <-ctx.Done():
		}
		<-release
		return nil
	})
	first := make(chan error, 1)
	go func() { first <- call(context.Background(), conn) }()
	<-begun
	// Half of this is for waiting; half is for the answer to come back on a machine that is busy itself.
	short, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	second := make(chan error, 1)
	go func() { second <- call(short, conn) }()
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service}); err != nil {
		t.Errorf("health of a busy server: %v", err)
	}
	if err := <-second; !errors.Is(err, rpc.ErrBusy) {
		t.Errorf("the second call: %v, want ErrBusy", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first call: %v", err)
	}
	third := make(chan error, 1)
	go func() { third <- call(context.Background(), conn) }()
	<-begun
	if err := <-third; err != nil {
		t.Errorf("the third call: %v", err)
	}
}

// TestOperators calls a method of operators while every slot is taken, here by itself.
func TestOperators(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	conn := inProcess(t, rpc.ServerOptions{MaxConcurrent: 1, Operators: []string{method}}, rpc.DialOptions{Timeout: time.Minute}, func(ctx context.Context) error {
		select {
		case begun <- struct{}{}:
		case <-ctx.Done():
		}
		<-release
		return nil
	})
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- call(context.Background(), conn) }()
	}
	<-begun
	<-begun
	close(release)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
