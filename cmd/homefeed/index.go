package main

import (
	"context"
	"errors"
	"flag"

	"homefeed/cmd/homefeed/index"
	"homefeed/cmd/homefeed/train"
	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
)

// indexConfig is the tool that makes a model file of vectors, or the other way round.
type indexConfig struct{ index.Config }

func (c *indexConfig) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.In, "in", "", "`file` of vectors: word2vec's .bin or .txt, perhaps with .gz; or a model, .hfm")
	fs.StringVar(&c.Out, "out", "", "`file` to write, .hfm for a model, or one of the others")
	fs.StringVar(&c.Labels, "labels", "", "`file` of what searches may be limited by: a line for each track, with a tab and labels by commas, such as its markets and \"explicit\"")
	fs.StringVar(&c.Name, "name", "", "of the model, for people")
	fs.Float64Var(&c.Index.Recall, "recall", ivf.DefaultRecall, "the `share` of the 10 nearest that searches are to find")
	fs.IntVar(&c.Index.Lists, "lists", 0, "in how `many` lists tracks are sorted; 0 finds out what is fastest, 1 has all compared in every search")
	fs.BoolVar(&c.Index.Plain, "plain", false, "leave out the codes that candidates are found by: a smaller file, slower to search")
	fs.Uint64Var(&c.Index.Seed, "seed", 0, "of everything random: the same one gives the same file")
}

func (c *indexConfig) check(rest []string) error {
	var out error
	if err := modelfile.CheckPath(c.Out); err != nil {
		out = wrong("out", c.Out, "a name that ends in .hfm, .bin, .txt, .bin.gz or .txt.gz")
	}
	return errors.Join(noArguments(rest), given("in", c.In, "the file of vectors"), out, train.Flagged(c.Index.Validate()))
}

func (c *indexConfig) run(ctx context.Context, env environment) error {
	return index.Run(ctx, c.Config, env.out)
}
