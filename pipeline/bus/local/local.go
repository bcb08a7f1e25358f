// Package local is the message bus of one machine: NATS JetStream inside the process, on files in a directory.
// There is nothing to install, and what is published outlives the process and its kill.
//
// # What it promises
//
// Publish returns when the messages are written to their stream's file. A killed process loses none of them; a
// machine that loses power loses at most the last SyncInterval, or none with Options.SyncAlways (which costs a
// disk flush a message). A stream keeps messages up to an age and a size, read or not: the oldest go first, and a
// reader whose place is gone says so in the log and in homefeed_bus_unread_dropped_total. A killed process may forget
// the acknowledgements of its last tenth of a second: those messages come again.
//
// The event topics share one stream, so that a Log of them has one order and one floor. The order of a stream is
// the order of publishing, which is more than the order within a key that the contract asks for.
//
// A second process joins through Connect when the first one was opened with Options.Listen.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"homefeed/pipeline/bus/local/embedded"
	"homefeed/pipeline/bus/local/pull"
)

// ErrClosed says that the Bus was closed.
var ErrClosed = errors.New("bus is closed")

// TokenFile is the file in Options.Dir, readable by its owner alone, that Connect needs.
const TokenFile = embedded.TokenFile

// Options says where a Bus keeps its files and how much. Only Dir is needed.
type Options struct {
	// Dir is where the streams are, made with mode 0700 if it is missing. One process at a time has it open.
	Dir string
	// Listen is a loopback address, such as 127.0.0.1:4222 or 127.0.0.1:0, on which other processes of the same
	// user may Connect. Empty: no port is opened.
	Listen string
	// SyncAlways flushes every message to the disk before Publish returns.
	SyncAlways bool
	// SyncInterval is how often written messages are flushed to the disk without SyncAlways; 0 means 5 s.
	SyncInterval time.Duration
	// MaxAge and MaxBytes bound what each stream keeps; 0 means 7 days and 8 GiB. Dead letters are kept four
	// times as long.
	MaxAge   time.Duration
	MaxBytes int64
	// Logger takes the server's warnings and errors; nil discards them.
	Logger *slog.Logger
	// Registerer takes the metrics, until Close; nil leaves them unregistered.
	Registerer prometheus.Registerer
}

func (o *Options) setDefaults() {
	if o.SyncInterval <= 0 {
		o.SyncInterval = 5 * time.Second
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 8 << 30
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Bus is a connection to the streams. It is a bus.Publisher; Subscribe and OpenLog read from it. Its methods may be
// called from any goroutine.
type Bus struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	server   *embedded.Server // nil in a Bus that Connect made
	logger   *slog.Logger
	metrics  *metrics
	inFlight *semaphore.Weighted // bytes published and not acknowledged

	running sync.RWMutex // held for reading by each Publish, so that Close can wait for them
	closed  bool
	done    chan struct{} // closed by Close

	linkMu  sync.Mutex
	link    context.Context // done when the connection is lost; then there is another
	cutLink context.CancelFunc
}

// Open starts the bus on the streams in o.Dir and waits until they are recovered. It fails if another process has
// the directory open, o.Listen is not a loopback address or is taken, or the files can't be read. ctx bounds the
// opening only; the caller calls Close.
func Open(ctx context.Context, o Options) (*Bus, error) {
	o.setDefaults()
	server, err := embedded.Start(ctx, embedded.Options{
		Dir: o.Dir, Listen: o.Listen, SyncAlways: o.SyncAlways, SyncInterval: o.SyncInterval, Logger: o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("opening local bus: %w", err)
	}
	b, err := newBus(o.Logger, o.Registerer, "", server.Connection()...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening local bus: %w", err), server.Stop())
	}
	b.server = server
	if err := b.prepare(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("opening local bus: %w", err), b.Close())
	}
	return b, nil
}

// newBus connects to url, or to where options lead.
func newBus(logger *slog.Logger, registerer prometheus.Registerer, url string, options ...nats.Option) (*Bus, error) {
	b := &Bus{
		logger:   logger,
		metrics:  newMetrics(),
		inFlight: semaphore.NewWeighted(maxInFlightBytes),
		done:     make(chan struct{}),
	}
	b.link, b.cutLink = context.WithCancel(context.Background())
	options = append(options,
		nats.Name("homefeed"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectBufSize(-1), // a publish while disconnected fails at once, rather than being sent later
		nats.DisconnectErrHandler(func(*nats.Conn, error) { b.linkLost() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.Warn("bus connection", "error", err)
		}),
	)
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	if err := b.metrics.register(registerer); err != nil {
		nc.Close()
		return nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxInFlightBytes/messageOverhead+1))
	if err != nil {
		b.metrics.unregister()
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	b.nc, b.js = nc, js
	return b, nil
}

// Addr is the address for Connect, empty without Options.Listen.
func (b *Bus) Addr() string {
	if b.server == nil {
		return b.nc.ConnectedAddr()
	}
	return b.server.Addr()
}

// Close waits until the running Publish calls are done, refuses further ones, ends waiting reads with ErrClosed, and
// leaves the files in a state from which opening is fast. A second Close does nothing.
func (b *Bus) Close() error {
	b.running.Lock()
	defer b.running.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	close(b.done)
	b.metrics.unregister()
	b.linkLost()
	b.nc.Close()
	if b.server != nil {
		if err := b.server.Stop(); err != nil {
			return fmt.Errorf("closing local bus: %w", err)
		}
	}
	return nil
}

func (b *Bus) linkLost() {
	b.linkMu.Lock()
	defer b.linkMu.Unlock()
	b.cutLink()
	b.link, b.cutLink = context.WithCancel(context.Background())
}

// currentLink is done when the connection as it stands now is lost: what the server was asked on it is not answered.
func (b *Bus) currentLink() context.Context {
	b.linkMu.Lock()
	defer b.linkMu.Unlock()
	return b.link
}

// call bounds what the server is asked: by callTimeout, and by the connection, which do alone would not notice.
func (b *Bus) call(ctx context.Context, do func(context.Context) error) error {
	link := b.currentLink()
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	defer context.AfterFunc(link, cancel)()
	err := do(bounded)
	if err != nil && ctx.Err() == nil && link.Err() != nil {
		err = pull.ErrLinkLost
	}
	return b.closedOr(err)
}

// closedOr prefers ErrClosed, where the Bus was closed, to an error that follows from that.
func (b *Bus) closedOr(err error) error {
	select {
	case <-b.done:
		if err != nil {
			return ErrClosed
		}
	default:
	}
	return err
}

// callTimeout bounds what the bus is asked when the caller's context has no deadline of its own.
const callTimeout = 30 * time.Second
