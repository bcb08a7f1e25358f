package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/gcppubsub"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
)

// opened is a stack of what has to be closed again.
type opened []func() error

func (o *opened) add(closing func() error) { *o = append(*o, closing) }

func (o *opened) close() error {
	var errs []error
	for i := len(*o) - 1; i >= 0; i-- {
		errs = append(errs, (*o)[i]())
	}
	*o = nil
	return errors.Join(errs...)
}

// closeTimeout bounds the last words to the bus.
const closeTimeout = 5 * time.Second

func closing(close func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return close(ctx)
	}
}

// connection opens what one run of the job talks to; the bus and the service outlive runs.
type connection struct {
	cfg      Config
	log      *slog.Logger
	nats     *local.Bus     // one of the two
	pubsub   *gcppubsub.Bus //
	recorder *songsplayed.Client
	opened   opened
}

func connect(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*connection, error) {
	c := &connection{cfg: cfg, log: log}
	if err := c.connect(ctx, reg); err != nil {
		return nil, errors.Join(err, c.opened.close())
	}
	return c, nil
}

func (c *connection) connect(ctx context.Context, reg prometheus.Registerer) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	plays, err := rpc.Dial(c.cfg.SongsPlayed, rpc.DialOptions{Registerer: reg, Plaintext: c.cfg.Plaintext})
	if err != nil {
		return fmt.Errorf("-songsplayed: %w", err)
	}
	c.opened.add(plays.Close)
	c.recorder = songsplayed.NewClient(plays)
	if project := c.cfg.project(); project != "" {
		c.pubsub, err = gcppubsub.New(ctx, pubSubOptions(project, reg))
		if err != nil {
			return fmt.Errorf("-bus: %w", err)
		}
		c.opened.add(c.pubsub.Close)
		return nil
	}
	c.nats, err = local.Connect(ctx, strings.TrimPrefix(c.cfg.Bus, "nats://"),
		local.ConnectOptions{TokenFile: c.cfg.BusToken, Logger: c.log, Registerer: reg})
	if err != nil {
		return fmt.Errorf("-bus: %w", err)
	}
	c.opened.add(c.nats.Close)
	return nil
}

// open makes the Connections of one run: a source that begins where the bus has not heard of an end.
func (c *connection) open(ctx context.Context) (*beamgraph.Connections, func() error, error) {
	var o opened
	conns, err := c.sources(ctx, &o)
	if err != nil {
		return nil, nil, errors.Join(err, o.close())
	}
	conns.Recorder, conns.Log = c.recorder, c.log
	return conns, o.close, nil
}

func (c *connection) sources(ctx context.Context, o *opened) (*beamgraph.Connections, error) {
	if c.pubsub != nil {
		subs, err := subscribe(c.pubsub, c.cfg.Subscriptions, c.cfg.Lease)
		if err != nil {
			return nil, err
		}
		leases := source.NewLeases(subs, c.cfg.Lease/3, source.Limits{}, time.Now, c.log)
		o.add(closing(leases.Close))
		return &beamgraph.Connections{Source: leases, Publisher: c.pubsub}, nil
	}
	events, err := c.nats.OpenLog(ctx, c.cfg.Job, event.Topics())
	if err != nil {
		return nil, err
	}
	log := source.NewLog(events, source.Limits{}, time.Now)
	o.add(closing(log.Close))
	again, err := c.nats.OpenLog(ctx, c.cfg.Job+"-trends", event.Topics())
	if err != nil {
		return nil, err
	}
	windows := trends.Config{}.WithDefaults()
	recent := source.NewRecent(again, windows.Length+windows.Lateness, source.Limits{}, time.Now)
	o.add(closing(recent.Close))
	return &beamgraph.Connections{Source: log, Recent: recent, Publisher: c.nats}, nil
}

func subscribe(b *gcppubsub.Bus, prefix string, lease time.Duration) ([]bus.Subscription, error) {
	var subs []bus.Subscription
	for _, topic := range event.Topics() {
		sub, err := b.Subscribe(subscription(prefix, topic), gcppubsub.SubscriptionOptions{Topic: topic, Lease: lease})
		if err != nil {
			return nil, err
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

func pubSubOptions(project string, reg prometheus.Registerer) gcppubsub.Options {
	return gcppubsub.Options{Project: project, OrderedTopics: []string{trigger.Topic}, Registerer: reg}
}

// openForWorker is how a worker of Flink or Dataflow connects. On Dataflow it records only. A worker of Flink may
// acknowledge what another one has read, so leases are not extended: they must outlast the longest freshness.
func openForWorker(ctx context.Context, e beamgraph.Endpoints) (*beamgraph.Connections, func() error, error) {
	var o opened
	conns, err := workerConnections(ctx, e, &o)
	if err != nil {
		return nil, nil, errors.Join(err, o.close())
	}
	return conns, o.close, nil
}

func workerConnections(ctx context.Context, e beamgraph.Endpoints, o *opened) (*beamgraph.Connections, error) {
	plays, err := rpc.Dial(e.SongsPlayed, rpc.DialOptions{Plaintext: e.Plaintext})
	if err != nil {
		return nil, err
	}
	o.add(plays.Close)
	conns := &beamgraph.Connections{Recorder: songsplayed.NewClient(plays), Log: slog.Default()}
	if e.Project == "" {
		return conns, nil
	}
	b, err := gcppubsub.New(ctx, pubSubOptions(e.Project, nil))
	if err != nil {
		return nil, err
	}
	o.add(b.Close)
	subs, err := subscribe(b, e.Subscriptions, workerLease)
	if err != nil {
		return nil, err
	}
	leases := source.NewLeases(subs, 0, source.Limits{}, time.Now, slog.Default())
	o.add(closing(leases.Close))
	conns.Source, conns.Publisher = leases, b
	return conns, nil
}

// workerLease is Pub/Sub's longest. Nothing extends it on a worker, so it is only what the options have to say.
const workerLease = 10 * time.Minute
