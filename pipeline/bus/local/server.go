package local

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TokenFile is the file in Options.Dir, readable by its owner alone, whose content Connect has to show.
const TokenFile = "token"

const (
	// startWithin bounds recovery: a million messages take about half a second.
	startWithin = 2 * time.Minute
	// maxPayload is what a message may be with its headers.
	maxPayload = 2 << 20
)

// embedded is the server in this process.
type embedded struct {
	nats  *server.Server
	token string
	lock  *dirLock
}

func startServer(ctx context.Context, o Options) (*embedded, error) {
	host, port, err := listenAddress(o.Listen)
	if err != nil {
		return nil, err
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
	log := &serverLog{logger: o.Logger, fatal: make(chan string, 1)}
	ns, err := server.NewServer(&server.Options{
		ServerName:                 "homefeed",
		Host:                       host,
		Port:                       port,
		DontListen:                 o.Listen == "",
		NoSigs:                     true,
		JetStream:                  true,
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
	ns.SetLogger(log, false, false)
	e := &embedded{nats: ns, token: token, lock: lock}
	if err := e.start(ctx, log.fatal); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

func (e *embedded) start(ctx context.Context, fatal <-chan string) error {
	ready := make(chan bool, 1)
	go func() { // ends when the server is ready or shut down, or after startWithin
		e.nats.Start()
		ready <- e.nats.ReadyForConnections(startWithin)
	}()
	select {
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("starting the server: not ready after %v", startWithin)
		}
		return nil
	case reason := <-fatal:
		return fmt.Errorf("starting the server: %s", reason)
	case <-ctx.Done():
		return fmt.Errorf("starting the server: %w", ctx.Err())
	}
}

// stop writes what is in memory to the files and gives the directory up.
func (e *embedded) stop() error {
	e.nats.Shutdown()
	e.nats.WaitForShutdown()
	return e.lock.unlock()
}

func (e *embedded) addr() string {
	if a := e.nats.Addr(); a != nil {
		return a.String()
	}
	return ""
}

// listenAddress splits a loopback address. Anything else is refused: the token travels in the clear.
func listenAddress(addr string) (host string, port int, err error) {
	if addr == "" {
		return "127.0.0.1", server.RANDOM_PORT, nil // not listened on
	}
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("reading Listen %q: want host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", 0, fmt.Errorf("reading Listen %q: want a loopback host such as 127.0.0.1", addr)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("reading Listen %q: want a port from 0 to 65535", addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// ownToken reads the token, or makes one the first time.
func ownToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading token: %w", err)
	}
	token := rand.Text()
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing token: %w", err)
	}
	return token, nil
}

// tokenCheck lets those in who show the token.
type tokenCheck string

// Check implements server.Authentication.
func (t tokenCheck) Check(c server.ClientAuthentication) bool {
	return subtle.ConstantTimeCompare([]byte(c.GetOpts().Token), []byte(t)) == 1
}

// serverLog passes the server's log on. What would end a stand-alone server is reported on fatal instead.
type serverLog struct {
	logger *slog.Logger
	fatal  chan string
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.logger.Debug("bus server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.logger.Warn("bus server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.logger.Error("bus server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default: // the first reason is the one that counts
	}
}

func (l *serverLog) Debugf(string, ...any) {}

func (l *serverLog) Tracef(string, ...any) {}
