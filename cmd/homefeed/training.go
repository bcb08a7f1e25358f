package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"homefeed/cmd/homefeed/train"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/sessions"
	"homefeed/services/word2vec/sgns"
)

func sourceFlags(fs *flag.FlagSet, s *train.Source) {
	fs.StringVar(&s.In, "in", "", "`file` of playlists, one a line; perhaps gzipped")
	fs.StringVar((*string)(&s.Format), "format", "", "of -in: text (track ids by blanks), or jsonl ({\"tracks\":[\"a\",\"b\"]} or [\"a\",\"b\"]); empty: by its name")
	fs.StringVar(&s.SongsPlayed, "from-songs-played", "", "`address` of the songs-played service, whose listeners' sessions are the playlists")
	plaintextFlag(fs, &s.Plaintext)
	fs.DurationVar(&s.Pause, "pause", sessions.Pause, "without a play ends a session")
}

func learningFlags(fs *flag.FlagSet, c *sgns.Config) {
	*c = sgns.Default()
	fs.IntVar(&c.Dim, "dim", c.Dim, "values of each vector")
	fs.IntVar(&c.Window, "window", c.Window, "`tracks` to each side that count as company, at most")
	fs.IntVar(&c.Epochs, "epochs", c.Epochs, "times through the playlists")
	fs.IntVar(&c.Negative, "negative", c.Negative, "random `tracks` against each real neighbour")
	fs.IntVar(&c.MinCount, "min-count", c.MinCount, "tracks that come up less often get no vector")
	fs.Float64Var(&c.Sample, "sample", c.Sample, "thin out tracks with a greater `share` of all plays than this; 0 doesn't")
	fs.Float64Var(&c.Exponent, "exponent", c.Exponent, "random tracks are drawn by count to this `power`")
	fs.Float64Var(&c.LearningRate, "learning-rate", c.LearningRate, "`rate` at the start; it falls to almost 0")
	fs.Uint64Var(&c.Seed, "seed", c.Seed, "of everything random: with one thread, the same one gives the same model")
	fs.BoolVar(&c.Exact, "exact", false, "random tracks for each pair of neighbours, as word2vec.c draws them, not shared by those of one track: slower")
	fs.IntVar(&c.Threads, "threads", 1, "train on so many processors at once; with more than one no two models are the same")
}

// trainConfig is the tool that makes a model.
type trainConfig struct{ train.Config }

func (c *trainConfig) flags(fs *flag.FlagSet) {
	sourceFlags(fs, &c.Source)
	fs.StringVar(&c.Out, "out", "", "`file` for the model: .hfm, or word2vec's .bin or .txt, perhaps with .gz")
	learningFlags(fs, &c.Config.Config)
}

func (c *trainConfig) check(rest []string) error {
	var out error
	if err := modelfile.CheckPath(c.Out); err != nil {
		out = wrong("out", c.Out, "a name that ends in .hfm, .bin, .txt, .bin.gz or .txt.gz")
	}
	return errors.Join(noArguments(rest), train.Flagged(c.Source.Validate()), out, train.Flagged(c.Config.Config.Validate()))
}

func (c *trainConfig) run(ctx context.Context, env environment) error {
	return train.Run(ctx, c.Config, env.out)
}

func testFlags(fs *flag.FlagSet, t *train.Test) {
	*t = train.DefaultTest()
	fs.IntVar(&t.Seeds, "seeds", t.Seeds, "how many models to train, beginning with -seed")
	queriesFlag(fs, &t.Queries)
}

func queriesFlag(fs *flag.FlagSet, queries *int) {
	fs.IntVar(queries, "queries", train.DefaultTest().Queries, "how many `playlists` to ask about at most; 0: all")
}

// evalConfig is the tool that scores a configuration.
type evalConfig struct{ train.EvalConfig }

func (c *evalConfig) flags(fs *flag.FlagSet) {
	sourceFlags(fs, &c.Source)
	testFlags(fs, &c.Test)
	learningFlags(fs, &c.Config)
}

func (c *evalConfig) check(rest []string) error {
	return errors.Join(noArguments(rest), train.Flagged(c.Source.Validate()), train.Flagged(c.Test.Validate()), train.Flagged(c.Config.Validate()))
}

func (c *evalConfig) run(ctx context.Context, env environment) error {
	return train.Eval(ctx, c.EvalConfig, env.out)
}

// sweepConfig is the tool that tries configurations.
type sweepConfig struct{ train.SweepConfig }

func (c *sweepConfig) flags(fs *flag.FlagSet) {
	sourceFlags(fs, &c.Source)
	testFlags(fs, &c.Test)
	learningFlags(fs, &c.Config)
	fs.StringVar(&c.Chart, "chart", "", "SVG `file` to draw the result in")
	list(fs, &c.Dims, strconv.Atoi, "dims", "`values` of -dim to try, such as 32,64")
	list(fs, &c.Windows, strconv.Atoi, "windows", "`values` of -window to try")
	list(fs, &c.Tries.Epochs, strconv.Atoi, "epoch-counts", "`values` of -epochs to try")
	list(fs, &c.Negatives, strconv.Atoi, "negatives", "`values` of -negative to try")
	list(fs, &c.Samples, parseFloat, "samples", "`values` of -sample to try")
	list(fs, &c.Exponents, parseFloat, "exponents", "`values` of -exponent to try")
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// list is a flag of values with commas between.
func list[V any](fs *flag.FlagSet, values *[]V, parse func(string) (V, error), name, help string) {
	fs.Func(name, help, func(s string) error {
		*values = nil
		for field := range strings.SplitSeq(s, ",") {
			v, err := parse(strings.TrimSpace(field))
			if err != nil {
				return errors.New("want numbers with commas between")
			}
			*values = append(*values, v)
		}
		return nil
	})
}

func (c *sweepConfig) check(rest []string) error {
	return errors.Join(noArguments(rest), train.Flagged(c.SweepConfig.Validate()))
}

func (c *sweepConfig) run(ctx context.Context, env environment) error {
	return train.Sweep(ctx, c.SweepConfig, env.out)
}

// compareConfig is the tool that measures against another trainer, which is its arguments.
type compareConfig struct{ train.CompareConfig }

func (c *compareConfig) flags(fs *flag.FlagSet) {
	sourceFlags(fs, &c.Source)
	learningFlags(fs, &c.Config)
	queriesFlag(fs, &c.Queries)
	fs.IntVar(&c.Rounds, "rounds", 3, "how `often` to run each")
}

func (c *compareConfig) check(rest []string) error {
	c.Command = rest
	return errors.Join(train.Flagged(c.CompareConfig.Validate()), c.CheckCommand())
}

func (c *compareConfig) run(ctx context.Context, env environment) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	c.Self = self
	return train.Compare(ctx, c.CompareConfig, env.out)
}
