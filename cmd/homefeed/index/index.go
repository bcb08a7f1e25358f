// Package index is the command that makes a model file of vectors, or vectors of a model file.
package index

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
)

// Config is what the command is told.
type Config struct {
	In     string // vectors, or a model
	Out    string // likewise; its name says which
	Labels string // file of a track, a tab and the track's labels by commas on each line; empty: none
	modelfile.Options
}

// Run reads, builds and writes, and tells out about it. If it fails, or ctx ends first, whatever was at Out is still
// there.
func Run(ctx context.Context, cfg Config, out io.Writer) error { return run(ctx, cfg, out, time.Now) }

func run(ctx context.Context, cfg Config, out io.Writer, now func() time.Time) error {
	// Find out now, not after minutes of building.
	if err := modelfile.CheckPath(cfg.Out); err != nil {
		return err
	}
	if cfg.Labels != "" {
		var err error
		if cfg.Options.Labels, err = readLabels(cfg.Labels); err != nil {
			return err
		}
	}
	v, err := load(cfg.In)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d tracks of dimension %d\n", cfg.In, v.Len(), v.Dim())
	if !strings.HasSuffix(cfg.Out, modelfile.Extension) {
		return vectors.Save(cfg.Out, v)
	}
	start := now()
	if v.Len() >= ivf.ExactBelow && cfg.Index.Lists != 1 { // it would be silent for long
		fmt.Fprintln(out, "building the index, which takes a minute or two for a million tracks")
	}
	c, err := modelfile.New(ctx, v, cfg.Options)
	if err != nil {
		return err
	}
	if err := c.Save(cfg.Out); err != nil {
		return err
	}
	searches := "searches compare all and are exact"
	if c.Index.Lists() > 1 {
		searches = fmt.Sprintf("%d lists, of which %v are looked into for the 10, 100 and 1000 nearest; recall of 10 %.4f, by %.0f comparisons",
			c.Index.Lists(), c.Probes, c.Report.Recall, c.Report.Rows)
	}
	fmt.Fprintf(out, "%s: model %s, %d labels; %s; in %v\n", cfg.Out, c.Version, len(c.Labels()), searches,
		now().Sub(start).Round(time.Millisecond))
	return nil
}

func load(path string) (*vectors.Vectors, error) {
	c, err := modelfile.Load(path)
	if err != nil {
		return nil, err
	}
	v, err := c.Vectors()
	if err != nil {
		return nil, err
	}
	return v, c.Close()
}

func readLabels(path string) (map[string][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening labels: %w", err)
	}
	defer f.Close()
	of, err := parseLabels(f)
	if err != nil {
		return nil, fmt.Errorf("reading labels %s: %w", path, err)
	}
	return of, nil
}

// parseLabels reads lines such as "mozart.k525<TAB>SE,NO,explicit".
func parseLabels(r io.Reader) (map[string][]string, error) {
	of := map[string][]string{}
	lines := bufio.NewScanner(r)
	n := 1
	for ; lines.Scan(); n++ {
		track, labels, ok := strings.Cut(lines.Text(), "\t")
		if !ok || track == "" {
			return nil, fmt.Errorf("line %d: want a track, a tab and labels by commas", n)
		}
		if _, twice := of[track]; twice {
			return nil, fmt.Errorf("line %d: track %.140q is there twice: want each once", n, track)
		}
		of[track] = nil
		for label := range strings.SplitSeq(labels, ",") {
			if label = strings.TrimSpace(label); label != "" {
				of[track] = append(of[track], label)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	return of, nil
}
