package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"homefeed/cmd/homefeed/replay"
	"homefeed/cmd/homefeed/train"
	"homefeed/services/word2vec/vectors"
)

// replayConfig is the tool that sends a log. Its one argument is the log's file.
type replayConfig struct{ replay.Config }

func (c *replayConfig) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Format, "format", replay.TSV, "of FILE: tsv or listenbrainz")
	fs.StringVar(&c.Catalog, "catalog", "", "catalogue `file`, which knows artists and tracks by name")
	fs.StringVar(&c.User, "user", "", "the `listener` of a listenbrainz log that doesn't say")
	fs.BoolVar(&c.Shift, "shift", false, "move the log so that its last event is now, or at -end, and send it at once")
	fs.Func("end", "`time` of the last event with -shift, RFC 3339; the same again sends the same events (default now)", func(s string) (err error) {
		c.End, err = time.Parse(time.RFC3339, s)
		if err != nil {
			return errors.New("want a time such as 2026-01-02T15:04:05Z")
		}
		return nil
	})
	fs.Float64Var(&c.Speed, "speed", 0, "play the log live from now on, so many `times` as fast as it happened")
	fs.StringVar(&c.To, "to", "http://127.0.0.1:8080", "`URL` of the API")
	fs.StringVar(&c.Token, "token", "", "the `token` of a service with the role importer")
}

func (c *replayConfig) check(rest []string) error {
	if len(rest) != 1 {
		return fmt.Errorf("%d arguments after the flags: want FILE, the log to send", len(rest))
	}
	c.File = rest[0]
	return c.Config.Validate()
}

func (c *replayConfig) run(ctx context.Context, env environment) error {
	return replay.Run(ctx, c.Config, env.out)
}

// trainConfig is the tool that makes a model.
type trainConfig struct{ train.Config }

func (c *trainConfig) flags(fs *flag.FlagSet) {
	c.Config = train.Default()
	fs.StringVar(&c.In, "in", "", "`file` of playlists: one a line, track ids by blanks; perhaps gzipped")
	fs.StringVar(&c.Out, "out", "", "`file` for the model: word2vec's .bin or .txt, perhaps with .gz")
	fs.IntVar(&c.Dim, "dim", c.Dim, "values of each vector")
	fs.IntVar(&c.Window, "window", c.Window, "`tracks` to each side that count as company, at most")
	fs.IntVar(&c.Epochs, "epochs", c.Epochs, "times through the playlists")
	fs.IntVar(&c.Negative, "negative", c.Negative, "random `tracks` against each real neighbour")
	fs.IntVar(&c.MinCount, "min-count", c.MinCount, "tracks that come up less often get no vector")
	fs.Float64Var(&c.Sample, "sample", c.Sample, "thin out tracks with a greater `share` of all plays than this; 0 doesn't")
	fs.Float64Var(&c.Exponent, "exponent", c.Exponent, "random tracks are drawn by count to this `power`")
	fs.Float64Var(&c.LearningRate, "learning-rate", c.LearningRate, "`rate` at the start; it falls to almost 0")
	fs.Uint64Var(&c.Seed, "seed", c.Seed, "of everything random: with one thread, the same one gives the same model")
	fs.BoolVar(&c.Exact, "exact", false, "random tracks for each pair of neighbours, as word2vec.c draws them: three times the work")
	fs.IntVar(&c.Threads, "threads", 1, "train on so many processors at once; with more than one no two models are the same")
}

func (c *trainConfig) check(rest []string) error {
	var out error
	if err := vectors.CheckPath(c.Out); err != nil {
		out = wrong("out", c.Out, "a name that ends in .bin, .txt, .bin.gz or .txt.gz")
	}
	learning := c.Config.Config.Validate()
	if learning != nil {
		learning = fmt.Errorf("-%w", learning)
	}
	return errors.Join(noArguments(rest), given("in", c.In, "the file of playlists"), out, learning)
}

func (c *trainConfig) run(ctx context.Context, env environment) error {
	return train.Run(ctx, c.Config, env.out)
}
