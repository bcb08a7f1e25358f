// Package sgns learns vectors of tracks from playlists: word2vec's skip-gram with negative sampling, where a
// playlist is a sentence. On one thread the same corpus, configuration, seed and kind of processor give the same
// vectors.
package sgns

import (
	"context"
	"fmt"
	"math"

	"homefeed/services/word2vec/sgns/kernel"
	"homefeed/services/word2vec/vectors"
)

// Config says how to learn.
type Config struct {
	Dim          int     // of the vectors
	Window       int     // tracks to each side at most; each track draws its own width from 1 to Window
	Epochs       int     // times through the playlists
	Negative     int     // random tracks against each real neighbour
	MinCount     int     // tracks that come up less often get no vector
	Sample       float64 // thins out tracks with a greater share of all plays than this; 0 doesn't
	Exponent     float64 // random tracks are drawn by count to this power
	LearningRate float64 // at the start; it falls in a straight line over all epochs
	Seed         uint64
	// Exact draws random tracks for each pair of neighbours, as word2vec.c does. Otherwise those of one track share
	// theirs, which takes a third of the time and comes out as good.
	Exact bool
	// Threads learn at once; 0 means 1. More than one write to the same vectors without locks (Recht et al.,
	// "Hogwild!", 2011): what they lose to each other is small, because two seldom have the same tracks in hand, but
	// no two runs are the same, and it is a data race on purpose. Tests with the race detector use one. With 8,000
	// tracks or more, each draws its random ones for a while from a share of the tracks that is its own.
	Threads int
}

// Default is a start for playlists.
func Default() Config {
	return Config{
		Dim: 64, Window: 3, Epochs: 30, Negative: 5, MinCount: 1, Sample: 1e-4, Exponent: .75, LearningRate: .025, Seed: 1,
	}
}

// lastRate is the part of the learning rate that is left at the end.
const lastRate = 1e-4

// Validate names the field that is wrong and what would be right.
func (c Config) Validate() error {
	for _, field := range []struct {
		name       string
		value      float64
		low, large float64
	}{
		{"dim", float64(c.Dim), 1, vectors.MaxDim},
		{"window", float64(c.Window), 1, 1_000},
		{"epochs", float64(c.Epochs), 1, 100_000},
		{"negative", float64(c.Negative), 1, 1_000},
		{"min-count", float64(c.MinCount), 1, math.MaxInt32},
		{"sample", c.Sample, 0, 1},
		{"exponent", c.Exponent, -2, 2},
		{"learning-rate", c.LearningRate, 1e-9, 1},
		{"threads", float64(c.Threads), 0, 1_000},
	} {
		if !(field.value >= field.low && field.value <= field.large) { // also refuses NaN
			return fmt.Errorf("%s: %v: want %v to %v", field.name, field.value, field.low, field.large)
		}
	}
	return nil
}

// Progress is how far training has come.
type Progress struct {
	Epoch, Epochs int   // epochs finished, of all
	Words, Total  int64 // tracks gone through, of all in all epochs
}

// Train learns the vectors. It calls progress, if it isn't nil, every few thousand tracks, never twice at a time. It
// stops with the context's error soon after that is done. The vectors of one track point where those of others in the
// same company do; they come out with length 1, the most frequent track first.
func Train(ctx context.Context, c *Corpus, cfg Config, progress func(Progress)) (*vectors.Vectors, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	vocabulary, err := newVocabulary(c, cfg.MinCount)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	t := newTrainer(vocabulary, cfg, kernel.Best())
	if err := t.run(ctx, progress); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	v, err := vectors.New(vocabulary.ids, cfg.Dim, t.learnt())
	if err != nil {
		return nil, fmt.Errorf("training came to nothing, a lower learning rate may help: %w", err)
	}
	return v, nil
}
