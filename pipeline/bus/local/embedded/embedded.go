// Package embedded runs a NATS server with JetStream in this process, on files in a directory that it keeps other
// processes out of. It opens no port unless it is told to, and then a loopback one that asks for a token.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// startWithin bounds recovery: a million messages take about half a second.
	startWithin = 2 * time.Minute
	// maxPayload is what a message may be with its headers.
	maxPayload = 2 << 20
	// unlimited replaces the server's own limit of the disk, three quarters of what is free at start: it would refuse
	// streams that may grow beyond it. The streams have limits.
	unlimited = 1 << 60
)

// Options says where the server keeps its files, and how.
type Options struct {
	Dir          string        // made with mode 0700 if it is missing
	Listen       string        // a loopback address, or empty
	SyncAlways   bool          // flush every message to the disk before it is acknowledged
	SyncInterval time.Duration // how often to flush otherwise
	Logger       *slog.Logger  // takes warnings and errors; not nil
}

// Server is a running server.
type Server struct {
	nats  *server.Server
	token string
	lock  *dirLock
}

// Start starts a server and waits until its streams are recovered. It fails if another process has the directory,
// Listen is not a loopback address or is taken, or the files can't be read. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	host, port, err := ParseLoopback(o.Listen)
	if err != nil && o.Listen != "" {
		return nil, fmt.Errorf("reading Listen: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making Dir: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	token, err := ownToken(filepath.Join(o.Dir, TokenFile))
	if err != nil {
		return nil, errors.Join(err, lock.unlock())
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	ns, err := server.NewServer(&server.Options{
		ServerName:                 "homefeed",
		Host:                       host,
		Port:                       port,
		DontListen:                 o.Listen == "",
		NoSigs:                     true,
		JetStream:                  true,
		JetStreamMaxStore:          unlimited,
		StoreDir:                   o.Dir,
		SyncAlways:                 o.SyncAlways,
		SyncInterval:               o.SyncInterval,
		MaxPayload:                 maxPayload,
		StreamMaxBufferedMsgs:      1 << 20, // publishers bound what is in flight; the default refuses short bursts
		DisableJetStreamBanner:     true,
		CustomClientAuthentication: tokenCheck(token),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("configuring the server: %w", err), lock.unlock())
	}
	s := &Server{nats: ns, token: token, lock: lock}
	if err := s.start(ctx, o.Logger); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the server: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, logger *slog.Logger) error {
	fatal := make(chan string, 1)
	s.nats.SetLogger(&serverLog{logger: logger, fatal: fatal}, false, false)
	ready := make(chan bool, 1)
	go func() { // ends when the server is ready or shut down, or after startWithin
		s.nats.Start()
		ready <- s.nats.ReadyForConnections(startWithin)
	}()
	select {
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("not ready after %v", startWithin)
		}
		return nil
	case reason := <-fatal:
		return errors.New(reason)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Connection is how a client in this process connects.
func (s *Server) Connection() []nats.Option {
	return []nats.Option{nats.InProcessServer(s.nats), nats.Token(s.token)}
}

// Addr is the address that is listened on, or empty.
func (s *Server) Addr() string {
	if a := s.nats.Addr(); a != nil {
		return a.String()
	}
	return ""
}

// Stop writes what is in memory to the files and gives the directory up.
func (s *Server) Stop() error {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return s.lock.unlock()
}

// ParseLoopback splits a loopback address. Any other is refused: the token travels in the clear.
func ParseLoopback(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: want host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", 0, fmt.Errorf("address %q: want a loopback host such as 127.0.0.1", addr)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %q: want a port from 0 to 65535", addr)
	}
	return host, port, nil
}
