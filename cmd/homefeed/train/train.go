// Package train is the commands that learn vectors from playlists, and that say how good they are: train, train eval,
// train sweep and train compare.
package train

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/sgns"
)

// Config is what the command is told.
type Config struct {
	Source
	Out string // the model; its name ends in .hfm, .bin or .txt; .gz may follow the latter two
	sgns.Config
}

// Default is the configuration without its files.
func Default() Config { return Config{Config: sgns.Default()} }

// Run trains and writes the model, and tells out about it. If it fails, or ctx ends first, whatever was at Out is
// still there.
func Run(ctx context.Context, cfg Config, out io.Writer) error { return run(ctx, cfg, out, time.Now) }

func run(ctx context.Context, cfg Config, out io.Writer, now func() time.Time) error {
	// Find out now, not after an hour of training.
	if err := modelfile.CheckPath(cfg.Out); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(cfg.Out)); err != nil {
		return fmt.Errorf("directory of the model: %w", err)
	}
	corpus, err := cfg.load(ctx, out)
	if err != nil {
		return err
	}
	start := now()
	v, err := sgns.Train(ctx, corpus, cfg.Config, newMeter("", out, now).progress)
	if err != nil {
		return err
	}
	if v.Len() >= ivf.ExactBelow && strings.HasSuffix(cfg.Out, modelfile.Extension) { // it would be silent for long
		fmt.Fprintln(out, "building the index, which takes a minute or two for a million tracks")
	}
	if err := modelfile.Save(ctx, cfg.Out, v, modelfile.Options{Index: ivf.Options{Seed: cfg.Seed}}); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: model %s, %d tracks of dimension %d, in %v\n",
		cfg.Out, v.Digest(), v.Len(), v.Dim(), now().Sub(start).Round(time.Millisecond))
	return nil
}

// Flagged makes an error that begins with a field's name one of its flag.
func Flagged(err error) error {
	if err != nil {
		return fmt.Errorf("-%w", err)
	}
	return nil
}

// tellEvery is the least time between two lines of progress.
const tellEvery = time.Second

// meter tells how far training has come, how fast it is and how long it will take.
type meter struct {
	name        string // of what is trained, before each line
	out         io.Writer
	now         func() time.Time
	start, told time.Time
}

func newMeter(name string, out io.Writer, now func() time.Time) *meter {
	m := &meter{name: name, out: out, now: now, start: now()}
	m.told = m.start
	return m
}

func (m *meter) progress(p sgns.Progress) {
	now := m.now()
	if p.Words == 0 || p.Words < p.Total && now.Sub(m.told) < tellEvery {
		return
	}
	m.told = now
	took := now.Sub(m.start)
	left := time.Duration(float64(took) / float64(p.Words) * float64(p.Total-p.Words))
	speed := float64(p.Words) / max(took.Seconds(), 1e-3)
	fmt.Fprintf(m.out, "%sepoch %d of %d, %3.0f%%, %.0f words/s, %v left\n",
		m.name, min(p.Epoch+1, p.Epochs), p.Epochs, 100*float64(p.Words)/float64(p.Total), speed, left.Round(time.Second))
}
