package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"google.golang.org/grpc"

	"homefeed/api"
	"homefeed/api/cardtoken"
	"homefeed/api/edge"
	"homefeed/api/hedge"
	"homefeed/api/homegrpc"
	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
	"homefeed/api/rowcache"
	"homefeed/pipeline/bus/gcppubsub"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/services/ops"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/shelves"
	"homefeed/shelves/refresh"
	"homefeed/shelves/store"
	bigtablestore "homefeed/shelves/store/bigtable"
)

// apiConfig is the role that faces the apps.
type apiConfig struct {
	Rows         rowsConfig
	Listen       string
	GRPC         string
	Admin        string
	OIDCIssuer   string
	OIDCAudience string
	RolesClaim   string
	Placements   string
	SecretFile   string
	CMS          bool
	// Services are asked for listeners who have no row yet, and to erase listeners; without them those get the editors'
	// defaults, and nobody is erased.
	Services servicesConfig
}

func (c *apiConfig) flags(fs *flag.FlagSet) {
	c.Rows.flags(fs)
	listenFlag(fs, &c.Listen, ":8080")
	fs.StringVar(&c.GRPC, "grpc", "", "`address` of Home over gRPC, in plaintext for a proxy that ends TLS, as -listen is; empty: none")
	adminFlag(fs, &c.Admin)
	fs.StringVar(&c.OIDCIssuer, "oidc-issuer", "", "`URL` of the issuer of tokens")
	fs.StringVar(&c.OIDCAudience, "oidc-audience", "", "the `audience` that tokens must be for")
	fs.StringVar(&c.RolesClaim, "oidc-roles-claim", "roles", "the `claim` with a service's roles")
	fs.StringVar(&c.Placements, "placements", "", "`file` (JSON) with the order, titles and default cards of the shelves; empty: every shelf under its own title")
	fs.StringVar(&c.SecretFile, "secret-file", "", "`file` with at least 32 bytes that all instances share, which keep tokens from being made up; empty: this process makes its own, and page tokens are of no use elsewhere")
	fs.BoolVar(&c.CMS, "cms", false, "show what the cms role publishes; -placements is for before anything is")
	c.Services.flags(fs, ", for listeners who have no row yet and to erase listeners; empty: those get the editors' defaults, and nobody is erased")
}

func (c *apiConfig) check(rest []string) error {
	var services error
	if c.onDemand() {
		services = c.Services.check()
	}
	if c.GRPC != "" {
		services = errors.Join(services, address("grpc", c.GRPC))
	}
	return errors.Join(noArguments(rest), c.Rows.check(), listening(c.Listen, c.Admin), services,
		httpURL("oidc-issuer", c.OIDCIssuer, "the issuer's URL, https://…"),
		given("oidc-audience", c.OIDCAudience, "the audience that tokens are made for"),
		given("oidc-roles-claim", c.RolesClaim, "the name of a claim"))
}

// onDemand reports whether rows are made on demand: with one of the services, all are needed.
func (c *apiConfig) onDemand() bool {
	return c.Services.SongsPlayed+c.Services.Word2Vec+c.Services.Catalog != ""
}

func (c *apiConfig) run(ctx context.Context, env environment) error {
	return serve(ctx, "api", c, c.Admin, env, c.start)
}

func (c *apiConfig) start(ctx context.Context, r *role) error {
	placements, err := readPlacements(c.Placements)
	if err != nil {
		return err
	}
	verifier, err := oidc.New(ctx, oidc.Config{Issuer: c.OIDCIssuer, Audience: c.OIDCAudience, RolesClaim: c.RolesClaim})
	if err != nil {
		return fmt.Errorf("-oidc-issuer: %w", err)
	}
	remembering, err := identity.Remember(verifier, nil)
	if err != nil {
		return err
	}
	r.parts.Close("memory of tokens", func() error { remembering.Close(); return nil })
	rows, err := bigtablestore.Open(ctx, c.Rows.store())
	if err != nil {
		return err
	}
	r.parts.Close("row store", rows.Close)
	events, err := gcppubsub.New(ctx, gcppubsub.Options{Project: c.Rows.Cloud.Project, Registerer: r.reg})
	if err != nil {
		return err
	}
	r.parts.Close("bus", events.Close)
	key, err := store.MarketKey(trigger.World)
	if err != nil {
		return err
	}
	r.health.Add("row store", once(readable(rows, key)))
	r.health.Add("event topics", once(func(ctx context.Context) error {
		return events.CheckTopics(ctx, append(event.Topics(), event.FeedbackTopic)...)
	}))
	secret, err := readSecret(c.SecretFile)
	if err != nil {
		return err
	}
	hedged, err := hedge.New(store.Observe(rows, r.reg), hedge.Options{Registerer: r.reg})
	if err != nil {
		return err
	}
	cached, err := rowcache.New(hedged, rowcache.Options{})
	if err != nil {
		return err
	}
	r.parts.Close("row cache", func() error { cached.Close(); return nil })
	config := api.Config{
		Rows:       cached,
		Bus:        events,
		Shelves:    shelves.All(),
		Placements: placements,
		Verifier:   remembering,
		Secret:     secret,
		Registerer: r.reg,
		Log:        r.env.log,
	}
	if c.onDemand() {
		if config.OnDemand, config.Events, err = c.maker(r, cached); err != nil {
			return err
		}
	}
	handler, err := api.New(config)
	if err != nil {
		return err
	}
	r.parts.Close("api", func() error { handler.Close(); return nil })
	if c.CMS {
		if err := follow(ctx, r, c.Rows.Cloud, placements, handler); err != nil {
			return err
		}
	}
	ln, err := r.listen("listen", c.Listen)
	if err != nil {
		return err
	}
	srv := api.Server("", handler, r.env.log)
	r.parts.Go("http", func(ctx context.Context) error { return ops.ServeHTTP(ctx, ln, srv) })
	if c.GRPC == "" {
		return nil
	}
	return r.serveGRPC("grpc", c.GRPC, rpc.ServerOptions{MaxRequest: edge.MaxBody},
		func(g grpc.ServiceRegistrar) { homegrpc.Register(g, handler) })
}

// maker is a runner in this process. The refresh role runs the same one behind the triggers; asking it over the network
// would add a hop, an address and a second place where the work is bounded, to save linking what this binary has
// anyway. Its work is idempotent, so that both may do the same listener at once. Services that are away don't keep the
// API from being ready: it needs them for newcomers, and to erase who asks for it, only.
func (c *apiConfig) maker(r *role, rows refresh.Rows) (*refresh.Runner, *songsplayed.Client, error) {
	cfg, plays, err := c.Services.connect(r, func(string, ops.Check) {})
	if err != nil {
		return nil, nil, err
	}
	cfg.Store = rows
	runner, err := refresh.New(cfg)
	return runner, plays, err
}

func readSecret(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-secret-file: %w", err)
	}
	secret = bytes.TrimSpace(secret)
	if len(secret) < cardtoken.MinSecret {
		return nil, fmt.Errorf("-secret-file %s: want at least %d bytes, have %d", file, cardtoken.MinSecret, len(secret))
	}
	return secret, nil
}

func readPlacements(file string) (api.Placements, error) {
	if file == "" {
		return api.Placements{}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return api.Placements{}, fmt.Errorf("-placements: %w", err)
	}
	defer f.Close()
	p, err := api.ReadPlacements(f)
	if err != nil {
		return p, fmt.Errorf("-placements %s: %w", file, err)
	}
	return p, nil
}
