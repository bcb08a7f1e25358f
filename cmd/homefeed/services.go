package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"cloud.google.com/go/bigtable"
	"google.golang.org/grpc"

	"homefeed/services/catalog"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/bigtabletable"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/word2vecpb"
)

// songsPlayedConfig is the role that remembers what listeners did.
type songsPlayedConfig struct {
	Cloud     cloudConfig
	Listen    string
	Admin     string
	Catalog   string
	Plaintext bool
}

func (c *songsPlayedConfig) flags(fs *flag.FlagSet) {
	c.Cloud.flags(fs)
	listenFlag(fs, &c.Listen, ":8081")
	adminFlag(fs, &c.Admin)
	fs.StringVar(&c.Catalog, "catalog", "", "`address` of the catalog service, for counts by artist")
	plaintextFlag(fs, &c.Plaintext)
}

func (c *songsPlayedConfig) check(rest []string) error {
	return errors.Join(noArguments(rest), c.Cloud.check(), listening(c.Listen, c.Admin), target("catalog", c.Catalog))
}

func (c *songsPlayedConfig) run(ctx context.Context, env environment) error {
	return serve(ctx, "songsplayed", c, c.Admin, env, c.start)
}

// start does not wait for the catalogue: recording, which the pipeline stands still without, doesn't need it.
func (c *songsPlayedConfig) start(ctx context.Context, r *role) error {
	// The client works for as long as this context does, so it must not be one that ends with the start.
	client, err := bigtable.NewClientWithConfig(context.WithoutCancel(ctx), c.Cloud.Project, c.Cloud.Instance,
		bigtable.ClientConfig{MetricsProvider: bigtable.NoopMetricsProvider{}, DisableSession: true})
	if err != nil {
		return err
	}
	table := bigtabletable.New(client)
	r.parts.Close("songs-played table", table.Close)
	r.health.Add("songs-played table", once(func(ctx context.Context) error {
		return table.Scan(ctx, []byte{0}, []byte{1}, 1, func([]byte) bool { return false })
	}))
	tracks, err := r.dial("catalog", c.Catalog, c.Plaintext)
	if err != nil {
		return err
	}
	server, err := songsplayed.NewServer(songsplayed.Options{
		Table: table, ArtistsOf: songsplayed.ArtistsFrom(catalog.NewClient(tracks)), Registerer: r.reg,
	})
	if err != nil {
		return err
	}
	return r.serveGRPC("listen", c.Listen, rpc.ServerOptions{}, func(g grpc.ServiceRegistrar) { songsplayed.Register(g, server) })
}

// word2VecConfig is the role that knows what is near what.
type word2VecConfig struct {
	Model  string
	Follow time.Duration
	Listen string
	Admin  string
}

func (c *word2VecConfig) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Model, "model", "", "`file` of the model: .hfm, or word2vec's .bin or .txt, perhaps with .gz; a new one under the name is served within -follow")
	fs.DurationVar(&c.Follow, "follow", 10*time.Second, "`time` between two looks at the file of the model")
	listenFlag(fs, &c.Listen, ":8081")
	adminFlag(fs, &c.Admin)
}

func (c *word2VecConfig) check(rest []string) error {
	var follow error
	if c.Follow < 10*time.Millisecond {
		follow = wrong("follow", c.Follow.String(), "10ms or more")
	}
	return errors.Join(noArguments(rest), listening(c.Listen, c.Admin), given("model", c.Model, "the file of the model"), follow)
}

func (c *word2VecConfig) run(ctx context.Context, env environment) error {
	return serve(ctx, "word2vec", c, c.Admin, env, c.start)
}

func (c *word2VecConfig) start(_ context.Context, r *role) error {
	server, err := word2vec.OpenServer(c.Model, word2vec.Options{Logger: r.env.log, Registerer: r.reg})
	if err != nil {
		return err
	}
	r.parts.Close("model", server.Close)
	r.parts.Go("follow the model's file", func(ctx context.Context) error { return server.Follow(ctx, c.Follow) })
	return r.serveGRPC("listen", c.Listen, rpc.ServerOptions{Operators: []string{word2vecpb.Word2Vec_Reload_FullMethodName}},
		func(g grpc.ServiceRegistrar) { word2vec.Register(g, server) })
}

// catalogConfig is the role that knows tracks and artists.
type catalogConfig struct {
	File    string
	ArtBase string
	Listen  string
	Admin   string
}

func (c *catalogConfig) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.File, "file", "", "catalogue `file` (TSV: track, artist, title)")
	fs.StringVar(&c.ArtBase, "art-base", "/art", "`address` below which the covers are of tracks that have no image in the file")
	listenFlag(fs, &c.Listen, ":8081")
	adminFlag(fs, &c.Admin)
}

func (c *catalogConfig) check(rest []string) error {
	return errors.Join(noArguments(rest), listening(c.Listen, c.Admin), given("file", c.File, "the catalogue's file"))
}

func (c *catalogConfig) run(ctx context.Context, env environment) error {
	return serve(ctx, "catalog", c, c.Admin, env, c.start)
}

func (c *catalogConfig) start(_ context.Context, r *role) error {
	tracks, err := catalog.Load(c.File, catalog.WithArtBase(c.ArtBase))
	if err != nil {
		return err
	}
	r.env.log.Info("catalogue is loaded", "tracks", tracks.Len())
	return r.serveGRPC("listen", c.Listen, rpc.ServerOptions{}, func(g grpc.ServiceRegistrar) { catalog.Register(g, catalog.NewServer(tracks)) })
}
