package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/bigtable"

	"homefeed/api"
	"homefeed/api/cms"
	"homefeed/api/cms/bigtablelog"
	"homefeed/api/cms/check"
	"homefeed/api/cms/page"
	"homefeed/api/cms/preview"
	"homefeed/api/cms/server"
	"homefeed/api/cms/signin"
	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
	"homefeed/services/ops"
	"homefeed/shelves"
	"homefeed/shelves/store"
	bigtablestore "homefeed/shelves/store/bigtable"
)

// cmsConfig is the role that faces editors. It is a role of its own, because editors come another way than apps do,
// through a proxy that knows them; because what they ask for, such as hundreds of Homes to check a draft, must take
// nothing from listeners; and because the API then needs no right to write what it shows.
type cmsConfig struct {
	Rows         rowsConfig
	Listen       string
	Admin        string
	IAPAudience  string
	People       string
	OIDCIssuer   string
	OIDCAudience string
	RolesClaim   string
	ClientID     string
	SecretFile   string
	URL          string
	Placements   string
	Locales      string
}

func (c *cmsConfig) flags(fs *flag.FlagSet) {
	c.Rows.flags(fs)
	listenFlag(fs, &c.Listen, ":8080")
	adminFlag(fs, &c.Admin)
	fs.StringVar(&c.IAPAudience, "iap-audience", "", "the `audience` of Identity-Aware Proxy's signed headers: /projects/…/backendServices/…")
	fs.StringVar(&c.People, "iap-people", "", "`who` may do what: ann@example.com=publisher,@example.com=viewer")
	fs.StringVar(&c.OIDCIssuer, "oidc-issuer", "", "`URL` of the issuer of tokens, for programs and where there is no proxy")
	fs.StringVar(&c.OIDCAudience, "oidc-audience", "", "the `audience` that tokens must be for")
	fs.StringVar(&c.RolesClaim, "oidc-roles-claim", "roles", "the `claim` with a token's roles")
	fs.StringVar(&c.ClientID, "oidc-client-id", "", "the `client` that editors sign in for on the pages; without it and without a proxy the pages ask for a token")
	fs.StringVar(&c.SecretFile, "oidc-client-secret-file", "", "`file` with the client's secret; a client without one needs none")
	fs.StringVar(&c.URL, "url", "", "`URL` of the CMS as browsers see it; the issuer has to know URL"+signin.Path+"callback for the client")
	fs.StringVar(&c.Placements, "placements", "", "the api role's `file` of placements: what Home shows before anything is published")
	fs.StringVar(&c.Locales, "locales", "", "`locales` that the apps speak (sv,pt-BR): a check says which of them a shelf has no title in")
}

func (c *cmsConfig) check(rest []string) error {
	errs := []error{noArguments(rest), c.Rows.check(), listening(c.Listen, c.Admin)}
	if c.IAPAudience == "" && c.OIDCIssuer == "" {
		errs = append(errs, errors.New("-iap-audience and -oidc-issuer are missing: want one or both, else nobody can come in"))
	}
	if c.IAPAudience != "" || c.People != "" {
		_, err := people(c.People)
		errs = append(errs, err, given("iap-audience", c.IAPAudience, "the backend's audience"))
	}
	if c.OIDCIssuer != "" || c.OIDCAudience != "" {
		errs = append(errs, httpURL("oidc-issuer", c.OIDCIssuer, "the issuer's URL, https://…"),
			given("oidc-audience", c.OIDCAudience, "the audience that tokens are made for"),
			given("oidc-roles-claim", c.RolesClaim, "the name of a claim"))
	}
	return errors.Join(append(errs, c.checkSignIn())...)
}

// checkSignIn checks how editors sign in where there is no proxy.
func (c *cmsConfig) checkSignIn() error {
	switch {
	case c.ClientID == "" && c.SecretFile == "" && c.URL == "":
		return nil
	case c.IAPAudience != "":
		return errors.New("-oidc-client-id, -oidc-client-secret-file and -url: want none of them beside -iap-audience: the proxy signs editors in")
	}
	errs := []error{given("oidc-client-id", c.ClientID, "what the issuer calls the CMS"), given("oidc-issuer", c.OIDCIssuer, "the issuer that signs editors in")}
	switch u, err := url.Parse(c.URL); {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "",
		u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1"):
		errs = append(errs, wrong("url", c.URL, "https://host without a path; http:// only for localhost: browsers keep no session without TLS"))
	}
	return errors.Join(errs...)
}

// people reads -iap-people.
func people(list string) (map[string]identity.Role, error) {
	const want = "who=role,…, such as ann@example.com=publisher or @example.com=viewer; the roles are viewer, editor and publisher"
	roles := map[string]identity.Role{}
	for one := range strings.SplitSeq(list, ",") {
		who, role, _ := strings.Cut(strings.TrimSpace(one), "=")
		switch r := identity.Role(role); {
		case !strings.Contains(who, "@"):
			return nil, wrong("iap-people", list, want)
		case r == identity.Viewer, r == identity.Editor, r == identity.Publisher:
			roles[strings.ToLower(who)] = r
		default:
			return nil, wrong("iap-people", list, want)
		}
	}
	return roles, nil
}

func (c *cmsConfig) run(ctx context.Context, env environment) error {
	return serve(ctx, "cms", c, c.Admin, env, c.start)
}

func (c *cmsConfig) start(ctx context.Context, r *role) error {
	verifier, err := c.verifier(ctx)
	if err != nil {
		return err
	}
	signIn, err := c.signIn(ctx, r)
	if err != nil {
		return err
	}
	if signIn != nil {
		verifier = append(verifier, signIn)
	}
	placements, err := readPlacements(c.Placements)
	if err != nil {
		return err
	}
	rows, err := bigtablestore.Open(ctx, c.Rows.store())
	if err != nil {
		return err
	}
	r.parts.Close("row store", rows.Close)
	desk, err := openDesk(ctx, r, c.Rows.Cloud, placements)
	if err != nil {
		return err
	}
	r.health.Add("CMS log", once(func(ctx context.Context) error { _, err := desk.State(ctx); return err }))
	editors, err := server.New(server.Config{
		Desk:       desk,
		Verifier:   verifier,
		Registerer: r.reg,
		Log:        r.env.log,
		Checker: check.Checker{
			Shelves: shelves.All(),
			Preview: preview.New(store.Observe(rows, r.reg), shelves.All()),
			Sample: func(ctx context.Context, n int) ([]string, error) {
				return rows.Sample(ctx, n, uint16(rand.Uint32()))
			},
			Locales: strings.FieldsFunc(c.Locales, func(r rune) bool { return r == ',' || r == ' ' }),
			Log:     r.env.log,
		},
	})
	if err != nil {
		return err
	}
	pages, err := page.New(page.Config{SignIn: signIn})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(server.Path, editors)
	mux.Handle("/cms/", pages)
	mux.Handle("GET /{$}", http.RedirectHandler("/cms/", http.StatusFound))
	ln, err := r.listen("listen", c.Listen)
	if err != nil {
		return err
	}
	srv := api.Server("", mux, r.env.log)
	srv.Protocols = server.Protocols()
	r.parts.Go("http", func(ctx context.Context) error { return ops.ServeHTTP(ctx, ln, srv) })
	return nil
}

func (c *cmsConfig) verifier(ctx context.Context) (oidc.Either, error) {
	var either oidc.Either
	if c.IAPAudience != "" {
		roles, err := people(c.People)
		if err != nil {
			return nil, err
		}
		proxy, err := oidc.NewIAP(ctx, oidc.IAPConfig{Audience: c.IAPAudience, Roles: roles})
		if err != nil {
			return nil, fmt.Errorf("-iap-audience: %w", err)
		}
		either = append(either, proxy)
	}
	if c.OIDCIssuer != "" {
		tokens, err := oidc.New(ctx, oidc.Config{Issuer: c.OIDCIssuer, Audience: c.OIDCAudience, RolesClaim: c.RolesClaim})
		if err != nil {
			return nil, fmt.Errorf("-oidc-issuer: %w", err)
		}
		either = append(either, tokens)
	}
	return either, nil
}

// signIn is nil where a proxy signs editors in, or nobody does.
func (c *cmsConfig) signIn(ctx context.Context, r *role) (*signin.SignIn, error) {
	if c.ClientID == "" {
		return nil, nil
	}
	secret := ""
	if c.SecretFile != "" {
		content, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("-oidc-client-secret-file: %w", err)
		}
		if secret = strings.TrimSpace(string(content)); secret == "" {
			return nil, fmt.Errorf("-oidc-client-secret-file %s: want the client's secret, have an empty file", c.SecretFile)
		}
	}
	tokens, err := oidc.New(ctx, oidc.Config{Issuer: c.OIDCIssuer, Audience: c.ClientID, RolesClaim: c.RolesClaim})
	if err != nil {
		return nil, fmt.Errorf("-oidc-issuer: %w", err)
	}
	return signin.New(signin.Config{
		Tokens: tokens, Issuer: c.OIDCIssuer, ClientID: c.ClientID, ClientSecret: secret, URL: c.URL, Log: r.env.log,
	})
}

// openDesk opens the log that the cms role writes and every API follows. start is what Home shows before anything is
// published.
func openDesk(ctx context.Context, r *role, cloud cloudConfig, start api.Placements) (*cms.Desk, error) {
	// The client works for as long as this context does, so it must not be one that ends with the start.
	client, err := bigtable.NewClientWithConfig(context.WithoutCancel(ctx), cloud.Project, cloud.Instance,
		bigtable.ClientConfig{MetricsProvider: bigtable.NoopMetricsProvider{}, DisableSession: true})
	if err != nil {
		return nil, err
	}
	log := bigtablelog.New(client)
	r.parts.Close("CMS log", log.Close)
	if len(start.Shelves) == 0 {
		start = api.DefaultPlacements(shelves.All())
	}
	return cms.NewDesk(cms.Config{Log: log, Start: start, Registerer: r.reg, Logger: r.env.log})
}

// followEvery is how often an API looks at what is published.
const followEvery = time.Second

// follow shows what the CMS publishes. Until there is something, or while the log is away, Home stays as it is.
func follow(ctx context.Context, r *role, cloud cloudConfig, start api.Placements, handler *api.API) error {
	desk, err := openDesk(ctx, r, cloud, start)
	if err != nil {
		return err
	}
	r.parts.Go("published placements", func(ctx context.Context) error {
		return desk.Follow(ctx, followEvery, func(v cms.Version) error { return handler.SetPlacements(v.Placements) })
	})
	return nil
}
