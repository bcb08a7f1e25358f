package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"homefeed/api"
	"homefeed/api/identity/oidc"
	"homefeed/pipeline/bus/gcppubsub"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/services/ops"
	"homefeed/shelves"
	"homefeed/shelves/store"
	bigtablestore "homefeed/shelves/store/bigtable"
)

// apiConfig is the role that faces the apps.
type apiConfig struct {
	Rows         rowsConfig
	Listen       string
	Admin        string
	OIDCIssuer   string
	OIDCAudience string
	RolesClaim   string
	Placements   string
}

func (c *apiConfig) flags(fs *flag.FlagSet) {
	c.Rows.flags(fs)
	listenFlag(fs, &c.Listen, ":8080")
	adminFlag(fs, &c.Admin)
	fs.StringVar(&c.OIDCIssuer, "oidc-issuer", "", "`URL` of the issuer of tokens")
	fs.StringVar(&c.OIDCAudience, "oidc-audience", "", "the `audience` that tokens must be for")
	fs.StringVar(&c.RolesClaim, "oidc-roles-claim", "roles", "the `claim` with a service's roles")
	fs.StringVar(&c.Placements, "placements", "", "`file` (JSON) with the order, titles and default cards of the shelves; empty: every shelf under its own title")
}

func (c *apiConfig) check(rest []string) error {
	return errors.Join(noArguments(rest), c.Rows.check(), listening(c.Listen, c.Admin),
		httpURL("oidc-issuer", c.OIDCIssuer, "the issuer's URL, https://…"),
		given("oidc-audience", c.OIDCAudience, "the audience that tokens are made for"),
		given("oidc-roles-claim", c.RolesClaim, "the name of a claim"))
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
	r.health.Add("event topics", once(func(ctx context.Context) error { return events.CheckTopics(ctx, event.Topics()...) }))
	handler, err := api.New(api.Config{
		Rows:       store.Observe(rows, r.reg),
		Bus:        events,
		Shelves:    shelves.All(),
		Placements: placements,
		Verifier:   verifier,
		Registerer: r.reg,
		Log:        r.env.log,
	})
	if err != nil {
		return err
	}
	r.parts.Close("api", func() error { handler.Close(); return nil })
	ln, err := r.listen(c.Listen)
	if err != nil {
		return err
	}
	srv := api.Server("", handler, r.env.log)
	r.parts.Go("http", func(ctx context.Context) error { return ops.ServeHTTP(ctx, ln, srv) })
	return nil
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
