package main

import (
	"context"
	"errors"
	"flag"
	"strconv"
	"time"

	"homefeed/pipeline/bus/gcppubsub"
	"homefeed/pipeline/trigger"
	"homefeed/services/catalog"
	"homefeed/services/catalog/catalogpb"
	"homefeed/services/ops"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/word2vecpb"
	"homefeed/shelves"
	"homefeed/shelves/refresh"
	"homefeed/shelves/store"
	bigtablestore "homefeed/shelves/store/bigtable"
)

// refreshConfig is the role that makes rows.
type refreshConfig struct {
	Rows         rowsConfig
	Admin        string
	Services     servicesConfig
	Subscription string
	Lease        time.Duration
	Concurrency  int
}

func (c *refreshConfig) flags(fs *flag.FlagSet) {
	c.Rows.flags(fs)
	adminFlag(fs, &c.Admin)
	c.Services.flags(fs, "")
	fs.StringVar(&c.Subscription, "subscription", "refresh", "Pub/Sub `subscription` of the triggers")
	fs.DurationVar(&c.Lease, "lease", time.Minute, "the subscription's acknowledgement deadline")
	fs.IntVar(&c.Concurrency, "concurrency", 16, "how many `listeners` are refreshed at once")
}

func (c *refreshConfig) check(rest []string) error {
	var lease, concurrency error
	if c.Lease < gcppubsub.MinLease || c.Lease > gcppubsub.MaxLease || c.Lease%time.Second != 0 {
		lease = wrong("lease", c.Lease.String(), "the subscription's acknowledgement deadline, 10s to 10m in whole seconds")
	}
	if c.Concurrency < 1 || c.Concurrency > 10_000 {
		concurrency = wrong("concurrency", strconv.Itoa(c.Concurrency), "1 to 10000")
	}
	return errors.Join(noArguments(rest), c.Rows.check(), address("admin", c.Admin),
		c.Services.check(),
		given("subscription", c.Subscription, "the Pub/Sub subscription of the triggers"), lease, concurrency)
}

func (c *refreshConfig) run(ctx context.Context, env environment) error {
	return serve(ctx, "refresh", c, c.Admin, env, c.start)
}

// start checks readiness for as long as the process runs: no requests come here that somebody else could answer, so
// it only tells operators what is missing.
func (c *refreshConfig) start(ctx context.Context, r *role) error {
	rows, err := bigtablestore.Open(ctx, c.Rows.store())
	if err != nil {
		return err
	}
	r.parts.Close("row store", rows.Close)
	key, err := store.MarketKey(trigger.World)
	if err != nil {
		return err
	}
	r.health.Add("row store", readable(rows, key))
	bus, err := gcppubsub.New(ctx, gcppubsub.Options{Project: c.Rows.Cloud.Project, Registerer: r.reg})
	if err != nil {
		return err
	}
	r.parts.Close("bus", bus.Close)
	triggers, err := bus.Subscribe(c.Subscription, gcppubsub.SubscriptionOptions{Topic: trigger.Topic, Lease: c.Lease})
	if err != nil {
		return err
	}
	r.parts.Close("trigger subscription", triggers.Close)
	r.health.Add("trigger subscription", func(ctx context.Context) error {
		return bus.CheckSubscription(ctx, c.Subscription, trigger.Topic, c.Lease)
	})
	r.health.Add("dead letters", func(ctx context.Context) error { return bus.CheckTopics(ctx, trigger.DeadLetterTopic) })
	runner, err := c.runner(r, rows, bus)
	if err != nil {
		return err
	}
	r.parts.Go("refresh runner", func(ctx context.Context) error { return runner.Run(ctx, triggers) })
	return nil
}

// runner connects to the services and makes the runner.
func (c *refreshConfig) runner(r *role, rows store.Store, bus *gcppubsub.Bus) (*refresh.Runner, error) {
	cfg, _, err := c.Services.connect(r, func(name string, check ops.Check) { r.health.Add(name, check) })
	if err != nil {
		return nil, err
	}
	cfg.Store = store.Observe(rows, r.reg)
	cfg.DeadLetters = bus
	cfg.Concurrency = c.Concurrency
	cfg.ExtendEvery = c.Lease / 4 // a lease is extended one or two of these after it was given
	return refresh.New(cfg)
}

// servicesConfig is where a process that makes rows finds the services that shelves ask.
type servicesConfig struct {
	SongsPlayed string
	Word2Vec    string
	Catalog     string
	Plaintext   bool
}

// flags adds the flags; otherwise is what the help says of leaving them out.
func (c *servicesConfig) flags(fs *flag.FlagSet, otherwise string) {
	fs.StringVar(&c.SongsPlayed, "songsplayed", "", "`address` of the songs-played service"+otherwise)
	fs.StringVar(&c.Word2Vec, "word2vec", "", "`address` of the word2vec service"+otherwise)
	fs.StringVar(&c.Catalog, "catalog", "", "`address` of the catalog service"+otherwise)
	plaintextFlag(fs, &c.Plaintext)
}

func (c *servicesConfig) check() error {
	return errors.Join(target("songsplayed", c.SongsPlayed), target("word2vec", c.Word2Vec), target("catalog", c.Catalog))
}

// connect begins a runner's configuration: with the clients, the shelves, logs and metrics. ready is told what to look
// at before the process is ready. The client of songs-played is for what a runner doesn't ask.
func (c *servicesConfig) connect(r *role, ready func(string, ops.Check)) (refresh.Config, *songsplayed.Client, error) {
	plays, err := r.dial("songsplayed", c.SongsPlayed, c.Plaintext)
	if err != nil {
		return refresh.Config{}, nil, err
	}
	ready("songsplayed", healthy(plays, &songsplayedpb.SongsPlayed_ServiceDesc))
	vectors, err := r.dial("word2vec", c.Word2Vec, c.Plaintext)
	if err != nil {
		return refresh.Config{}, nil, err
	}
	ready("word2vec", healthy(vectors, &word2vecpb.Word2Vec_ServiceDesc))
	tracks, err := r.dial("catalog", c.Catalog, c.Plaintext)
	if err != nil {
		return refresh.Config{}, nil, err
	}
	ready("catalog", healthy(tracks, &catalogpb.Catalog_ServiceDesc))
	client := songsplayed.NewClient(plays)
	return refresh.Config{
		Shelves:    shelves.All(),
		Plays:      client.For,
		Vectors:    word2vec.NewClient(vectors),
		Catalog:    catalog.NewCache(catalog.NewClient(tracks), catalog.CacheOptions{}),
		Logger:     r.env.log,
		Registerer: r.reg,
	}, client, nil
}
