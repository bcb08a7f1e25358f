package train

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"homefeed/services/word2vec/evaluate"
	"homefeed/services/word2vec/sgns"
)

// EvalConfig is what train eval is told.
type EvalConfig struct {
	Source
	Test
	sgns.Config
}

// Test is how settings are judged.
type Test struct {
	Seeds   int // how many models to train, each with the next seed
	Queries int // how many playlists to ask about at most; 0: all
}

// DefaultTest takes a few minutes with some hundred thousand playlists.
func DefaultTest() Test { return Test{Seeds: 3, Queries: 10_000} }

// Validate names the field that is wrong and what would be right.
func (t Test) Validate() error {
	switch {
	case t.Seeds < 1 || t.Seeds > 100:
		return fmt.Errorf("seeds: %d: want 1 to 100", t.Seeds)
	case t.Queries < 0:
		return fmt.Errorf("queries: %d: want how many, or 0 for all", t.Queries)
	}
	return nil
}

// Eval trains with several seeds, asks each model for the next tracks of playlists, and writes a table of how they and
// two simpler ways score.
func Eval(ctx context.Context, cfg EvalConfig, out io.Writer) error {
	corpus, err := cfg.load(ctx, out)
	if err != nil {
		return err
	}
	test, err := evaluate.NewTest(corpus, cfg.Queries, cfg.Seed)
	if err != nil {
		return err
	}
	learnt, err := cfg.judge(ctx, test, cfg.Config, "", out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe next track in %d playlists, learnt from %d tracks of %d playlists; mean ± deviation of %d seeds\n\n",
		test.Queries(), test.Train.Words(), test.Train.Playlists(), cfg.Seeds)
	table := newTable(out)
	fmt.Fprintf(table, "\tHR@%d\tNDCG@%d\t\n", evaluate.K, evaluate.K)
	for _, row := range append(baselines(test), result{"word2vec", learnt}) {
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", row.name, row.hitRate(), row.ndcg())
	}
	return table.Flush()
}

// newTable aligns columns to the right.
func newTable(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// judge scores what is learnt with one seed after the other.
func (t Test) judge(ctx context.Context, test *evaluate.Test, cfg sgns.Config, name string, out io.Writer) (evaluate.Summary, error) {
	scores := make([]evaluate.Score, t.Seeds)
	for i := range scores {
		m := newMeter(fmt.Sprintf("%sseed %d of %d, ", name, i+1, t.Seeds), out, time.Now)
		v, err := sgns.Train(ctx, test.Train, cfg, m.progress)
		if err != nil {
			return evaluate.Summary{}, err
		}
		if scores[i], err = test.Vectors(ctx, v); err != nil {
			return evaluate.Summary{}, err
		}
		cfg.Seed++
	}
	return evaluate.Summarise(scores)
}

// result is the score of one way.
type result struct {
	name string
	evaluate.Summary
}

func (r result) hitRate() string { return plusMinus(r.Mean.HitRate, r.Spread.HitRate) }
func (r result) ndcg() string    { return plusMinus(r.Mean.NDCG, r.Spread.NDCG) }

// plusMinus leaves out a spread that there is none of, but not its place.
func plusMinus(mean, spread float64) string {
	if spread == 0 {
		return fmt.Sprintf("%.4f%9s", mean, "")
	}
	return fmt.Sprintf("%.4f ± %.4f", mean, spread)
}

// baselines have no seeds, and so no spread.
func baselines(test *evaluate.Test) []result {
	return []result{
		{"popularity", evaluate.Summary{Mean: test.Popularity()}},
		{"Markov", evaluate.Summary{Mean: test.Markov()}},
	}
}
