package train

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"homefeed/services/word2vec/evaluate"
	"homefeed/services/word2vec/sgns"
)

// SweepConfig is what train sweep is told.
type SweepConfig struct {
	Source
	Test
	Chart       string // SVG file for the result; empty: none
	sgns.Config        // of what is not tried
	Tries
}

// Tries are the values to try of each setting, in every combination. An empty list is the value of sgns.Config.
type Tries struct {
	Dims, Windows, Epochs, Negatives []int
	Samples, Exponents               []float64
}

// maxSettings is the most combinations of a sweep.
const maxSettings = 200

// setting is one combination, named by what is tried in it.
type setting struct {
	name string
	sgns.Config
}

// settings are all combinations.
func (t Tries) settings(base sgns.Config) []setting {
	all := []setting{{Config: base}}
	all = vary(all, "dim", t.Dims, func(c *sgns.Config, v int) { c.Dim = v })
	all = vary(all, "window", t.Windows, func(c *sgns.Config, v int) { c.Window = v })
	all = vary(all, "epochs", t.Epochs, func(c *sgns.Config, v int) { c.Epochs = v })
	all = vary(all, "negative", t.Negatives, func(c *sgns.Config, v int) { c.Negative = v })
	all = vary(all, "sample", t.Samples, func(c *sgns.Config, v float64) { c.Sample = v })
	return vary(all, "exponent", t.Exponents, func(c *sgns.Config, v float64) { c.Exponent = v })
}

func vary[V any](all []setting, name string, values []V, set func(*sgns.Config, V)) []setting {
	if len(values) == 0 {
		return all
	}
	var varied []setting
	for _, s := range all {
		for _, v := range values {
			one := s
			set(&one.Config, v)
			one.name = strings.TrimSpace(fmt.Sprintf("%s %s %v", s.name, name, v))
			varied = append(varied, one)
		}
	}
	return varied
}

// Validate names the flag that is wrong and what would be right.
func (c SweepConfig) Validate() error {
	all := c.Tries.settings(c.Config)
	if len(all) < 2 || len(all) > maxSettings {
		return fmt.Errorf("windows and others: %d combinations: want lists such as -windows 2,3,5 that make 2 to %d",
			len(all), maxSettings)
	}
	for _, s := range all {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	if c.Chart != "" && filepath.Ext(c.Chart) != ".svg" {
		return fmt.Errorf("chart: %q: want a name that ends in .svg", c.Chart)
	}
	return cmp.Or(c.Source.Validate(), c.Test.Validate())
}

// Sweep judges every setting, writes a table with the best one first, and draws it.
func Sweep(ctx context.Context, cfg SweepConfig, out io.Writer) error {
	if dir := filepath.Dir(cfg.Chart); cfg.Chart != "" { // find out now, not after hours
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("directory of the chart: %w", err)
		}
	}
	corpus, err := cfg.load(ctx, out)
	if err != nil {
		return err
	}
	test, err := evaluate.NewTest(corpus, cfg.Queries, cfg.Seed)
	if err != nil {
		return err
	}
	settings := cfg.Tries.settings(cfg.Config)
	tried := make([]result, len(settings))
	for i, s := range settings {
		name := fmt.Sprintf("setting %d of %d, %s, ", i+1, len(settings), s.name)
		learnt, err := cfg.judge(ctx, test, s.Config, name, out)
		if err != nil {
			return err
		}
		tried[i] = result{s.name, learnt}
	}
	slices.SortStableFunc(tried, func(a, b result) int { return cmp.Compare(b.Mean.HitRate, a.Mean.HitRate) })
	simple := baselines(test)

	title := fmt.Sprintf("The next track in %d playlists; mean ± deviation of %d seeds", test.Queries(), cfg.Seeds)
	fmt.Fprintf(out, "\n%s\n\n", title)
	table := newTable(out)
	fmt.Fprintf(table, "setting\tHR@%d\tNDCG@%d\t\n", evaluate.K, evaluate.K)
	for _, row := range append(slices.Clone(tried), simple...) {
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", row.name, row.hitRate(), row.ndcg())
	}
	if err := table.Flush(); err != nil || cfg.Chart == "" {
		return err
	}
	if err := os.WriteFile(cfg.Chart, chart(title, tried, simple), 0o644); err != nil {
		return fmt.Errorf("writing chart: %w", err)
	}
	fmt.Fprintf(out, "\n%s has it as a chart\n", cfg.Chart)
	return nil
}
