package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api"
	"homefeed/api/cms"
	"homefeed/api/cms/server"
	"homefeed/api/rowcache"
	"homefeed/cmd/dev/demo"
	"homefeed/cmd/dev/devtoken"
	"homefeed/cmd/dev/memlimit"
	"homefeed/cmd/dev/page"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/trigger"
	"homefeed/services/ops"
	"homefeed/shelves"
	"homefeed/shelves/refresh"
	"homefeed/shelves/store"
	localstore "homefeed/shelves/store/local"
)

// process is everything that runs, for those who start after it.
type process struct {
	cfg     Config
	log     *slog.Logger
	reg     *prometheus.Registry
	health  *ops.Health
	parts   *ops.Parts
	library *library
	bus     *local.Bus
	rows    *rowcache.Cache // everybody here writes through it, so nobody sees an old row
	clients clients
	behind  func() bool // the pipeline works on a backlog; nil with -driver beam
	runner  *refresh.Runner
	seen    *listeners
	desk    *cms.Desk
	homes   homes
	url     string // of the page and the API
}

// serve starts every part, in the order of who needs whom, and runs until ctx ends.
func serve(ctx context.Context, cfg Config, out io.Writer, log *slog.Logger) (err error) {
	ops.LogConfig(log, "dev", cfg)
	p := &process{cfg: cfg, log: log, reg: ops.NewRegistry(), health: &ops.Health{}, parts: ops.NewParts(log)}
	defer func() {
		if err != nil {
			p.parts.Stop() // what failed is in err
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	if p.library, err = openLibrary(ctx, cfg, out); err != nil {
		return err
	}
	memory := os.Getenv("GOMEMLIMIT")
	if memory == "" {
		memory = fmt.Sprintf("%d MiB", cfg.Memory)
		p.parts.Go("memory limit", func(ctx context.Context) error { return memlimit.Keep(ctx, int64(cfg.Memory)<<20) })
	}
	for _, start := range []func(context.Context) error{
		p.startBus, p.startStore, p.startServices, p.startPipeline, p.startRunner, p.startAdmin, p.startAPI,
	} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "homefeed is up: %s (metrics: http://%s/metrics; Go's memory: %s)\n", p.url, cfg.Admin, memory)
	if cfg.Demo {
		p.parts.Go("demo", func(ctx context.Context) error {
			return demo.Run(ctx, demo.Config{
				World: p.library.world, URL: p.url, Dir: cfg.Data, Days: cfg.Days, Rate: cfg.Rate, Out: out,
			})
		})
	}
	return p.parts.Run(ctx)
}

func (p *process) startBus(ctx context.Context) (err error) {
	o := local.Options{Dir: filepath.Join(p.cfg.Data, "bus"), Logger: p.log, Registerer: p.reg}
	if p.cfg.Driver == "beam" {
		o.Listen = "127.0.0.1:0"
	}
	if p.bus, err = local.Open(ctx, o); err != nil {
		return err
	}
	p.parts.Close("bus", p.bus.Close)
	return nil
}

func (p *process) startStore(context.Context) error {
	// The row cache has what is read often.
	rows, err := localstore.Open(localstore.Config{Dir: filepath.Join(p.cfg.Data, "rows"), CacheBytes: 16 << 20, Log: p.log})
	if err != nil {
		return err
	}
	observed := store.Observe(rows, p.reg)
	p.parts.Close("row store", observed.Close)
	// Nobody else writes to this store, so a row hardly gets old: only by a write that takes place after its deadline.
	if p.rows, err = rowcache.New(observed, rowcache.Options{Age: 5 * time.Minute, Bytes: 64 << 20}); err != nil {
		return err
	}
	p.parts.Close("row cache", func() error { p.rows.Close(); return nil })
	return nil
}

func (p *process) startRunner(ctx context.Context) error {
	var err error
	p.runner, err = refresh.New(refresh.Config{
		Shelves:     shelves.All(),
		Store:       p.rows,
		Plays:       p.clients.plays.For,
		Vectors:     p.clients.vectors,
		Catalog:     p.clients.catalog,
		DeadLetters: p.bus,
		Yield:       p.behind,
		ExtendEvery: 20 * time.Second, // the bus' lease is a minute
		Logger:      p.log,
		Registerer:  p.reg,
	})
	if err != nil {
		return err
	}
	sub, err := p.bus.Subscribe(ctx, "refresh", []string{trigger.Topic}, local.SubscriptionOptions{MaxOutstanding: 20_000})
	if err != nil {
		return err
	}
	p.parts.Close("trigger subscription", sub.Close)
	p.parts.Go("refresh runner", func(ctx context.Context) error { return p.runner.Run(ctx, sub) })
	return nil
}

func (p *process) startAdmin(context.Context) error {
	ln, err := net.Listen("tcp", p.cfg.Admin)
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	p.cfg.Admin = ln.Addr().String()
	srv := api.Server("", ops.Handler(p.reg, p.health), p.log)
	p.parts.Go("admin", func(ctx context.Context) error { return ops.ServeHTTP(ctx, ln, srv) })
	return nil
}

func (p *process) startAPI(context.Context) error {
	p.seen = newListeners(p.bus, p.library.listeners())
	v1, err := api.New(api.Config{
		Rows:       p.rows,
		Bus:        p.seen,
		OnDemand:   p.runner,
		Events:     p.clients.plays,
		Shelves:    shelves.All(),
		Verifier:   devtoken.Verifier{},
		Registerer: p.reg,
		Log:        p.log,
	})
	if err != nil {
		return err
	}
	p.parts.Close("api", func() error { v1.Close(); return nil })
	p.homes.api.Store(v1)
	if err := p.startCMS(v1); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", p.cfg.Listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	p.url = "http://" + ln.Addr().String()
	routes, err := p.routes(v1)
	if err != nil {
		return err
	}
	srv := api.Server("", routes, p.log)
	srv.Protocols = server.Protocols()
	p.parts.Go("http", func(ctx context.Context) error { return ops.ServeHTTP(ctx, ln, srv) })
	return nil
}

func (p *process) routes(v1 http.Handler) (http.Handler, error) {
	front, err := page.New(page.Config{
		Listeners: p.seen.forPage,
		ArtistOf:  p.library.artistOf,
		Metrics:   p.reg,
		Log:       p.log,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", v1)
	mux.Handle("/art/", http.StripPrefix("/art", p.library.art()))
	mux.Handle("/", front)
	return mux, p.cmsRoutes(mux)
}
