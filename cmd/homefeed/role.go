package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"homefeed/services/ops"
	"homefeed/services/rpc"
	"homefeed/shelves/store"
)

// startTimeout bounds what a role asks of others before it serves.
const startTimeout = 30 * time.Second

// role is what every serving process has: metrics, health, and parts that stop in order.
type role struct {
	env    environment
	reg    *prometheus.Registry
	health *ops.Health
	parts  *ops.Parts
}

// serve shows the configuration cfg, opens the admin address, starts the role and keeps it until ctx ends. From
// then on it isn't ready, and finishes what it has begun.
func serve(ctx context.Context, name string, cfg any, admin string, env environment, start func(context.Context, *role) error) error {
	env.log = env.log.With("role", name)
	ops.LogConfig(env.log, name, cfg)
	r := &role{env, ops.NewRegistry(), &ops.Health{}, ops.NewParts(env.log)}
	var started atomic.Bool
	r.health.Add("process", func(context.Context) error {
		switch {
		case ctx.Err() != nil:
			return errors.New("stopping")
		case !started.Load():
			return errors.New("starting")
		}
		return nil
	})
	// First, so that a long start is seen to be alive; last to stop, so that draining can be watched.
	r.parts.Go("admin", func(ctx context.Context) error {
		return ops.ServeAdmin(ctx, admin, r.reg, r.health, env.log)
	})
	bounded, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := start(bounded, r); err != nil {
		stopErr := r.parts.Stop()
		if ctx.Err() != nil { // asked to stop while starting, which is no failure
			return stopErr
		}
		return errors.Join(err, stopErr)
	}
	started.Store(true)
	return r.parts.Run(ctx)
}

// listen opens the address of the flag.
func (r *role) listen(flagName, addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-%s: %w", flagName, err)
	}
	r.env.log.Info("serving", "address", ln.Addr().String())
	return ln, nil
}

// serveGRPC serves what register puts on the server at the address of the flag.
func (r *role) serveGRPC(flagName, addr string, o rpc.ServerOptions, register func(grpc.ServiceRegistrar)) error {
	o.Registerer, o.Logger = r.reg, r.env.log
	server, err := rpc.NewServer(o)
	if err != nil {
		return err
	}
	register(server)
	ln, err := r.listen(flagName, addr)
	if err != nil {
		return err
	}
	r.parts.Go("grpc", func(ctx context.Context) error { return server.Serve(ctx, ln) })
	return nil
}

// dial connects to the service called flagName at addr.
func (r *role) dial(flagName, addr string, plaintext bool) (*grpc.ClientConn, error) {
	conn, err := rpc.Dial(addr, rpc.DialOptions{Registerer: r.reg, Plaintext: plaintext})
	if err != nil {
		return nil, fmt.Errorf("-%s: %w", flagName, err)
	}
	r.parts.Close("connection to "+flagName, conn.Close)
	return conn, nil
}

// healthy says whether the service behind the connection is there, and is the one that it should be.
func healthy(conn *grpc.ClientConn, service *grpc.ServiceDesc) ops.Check {
	client := healthpb.NewHealthClient(conn)
	return func(ctx context.Context) error {
		answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service.ServiceName})
		if err != nil {
			return fmt.Errorf("asking %s for the health of %s: %w", conn.Target(), service.ServiceName, err)
		}
		if s := answer.GetStatus(); s != healthpb.HealthCheckResponse_SERVING {
			return fmt.Errorf("%s at %s is %s", service.ServiceName, conn.Target(), s)
		}
		return nil
	}
}

// readable says whether rows can be read. Whether the row has anything does not matter.
func readable(rows store.Store, key store.Key) ops.Check {
	return func(ctx context.Context) error {
		_, err := rows.Read(ctx, key, 1)
		return err
	}
}

// once passes for good when check has passed one time. It is for what all replicas of a server share: that keeps a
// wrongly configured release from replacing a good one, but an outage later must not take every replica out of
// service when each still does a part of its work.
func once(check ops.Check) ops.Check {
	var passed atomic.Bool
	return func(ctx context.Context) error {
		if passed.Load() {
			return nil
		}
		err := check(ctx)
		if err == nil {
			passed.Store(true)
		}
		return err
	}
}
