// Package sgns learns vectors of tracks from playlists: word2vec's skip-gram with negative sampling, where a
// playlist is a sentence. It is the plain algorithm on one thread, so the same corpus, configuration and seed give
// the same vectors.
package sgns

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"

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

// Train learns the vectors. It calls progress, if it isn't nil, after every epoch and now and then between. It
// stops with the context's error soon after that is done. The vectors of one track point where those of others in
// the same company do; they come out with length 1, the most frequent track first.
func Train(ctx context.Context, c *Corpus, cfg Config, progress func(Progress)) (*vectors.Vectors, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	vocabulary, err := newVocabulary(c, cfg.MinCount)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	t := newTrainer(vocabulary, cfg)
	if err := t.run(ctx, progress); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	v, err := vectors.New(vocabulary.ids, cfg.Dim, t.in)
	if err != nil {
		return nil, fmt.Errorf("training came to nothing, a lower learning rate may help: %w", err)
	}
	return v, nil
}

// trainer holds what is learnt: each track has a vector for when it is looked from (in) and one for when it is
// looked for (out).
type trainer struct {
	Config
	words     *vocabulary
	in, out   []float32
	keep      []float64
	negatives *alias
	random    *rand.Rand
	kept      []int32   // of a sentence
	step      []float32 // what a pair changes in its in vector
}

func newTrainer(v *vocabulary, cfg Config) *trainer {
	t := &trainer{
		Config: cfg,
		words:  v,
		in:     make([]float32, len(v.ids)*cfg.Dim),
		out:    make([]float32, len(v.ids)*cfg.Dim),
		keep:   v.keep(cfg.Sample),
		random: rand.New(rand.NewPCG(cfg.Seed, 0)),
		step:   make([]float32, cfg.Dim),
	}
	weights := make([]float64, len(v.counts))
	for i, n := range v.counts {
		weights[i] = math.Pow(float64(n), cfg.Exponent)
	}
	t.negatives = newAlias(weights)
	for i := range t.in {
		t.in[i] = (t.random.Float32() - .5) / float32(cfg.Dim)
	}
	return t
}

// reportEvery is how many tracks lie between two calls of progress, or looks at the context.
const reportEvery = 20_000

func (t *trainer) run(ctx context.Context, progress func(Progress)) error {
	at := Progress{Epochs: t.Epochs, Total: int64(t.Epochs) * int64(len(t.words.words))}
	report := func() {
		if progress != nil {
			progress(at)
		}
	}
	since := 0
	for range t.Epochs {
		start := 0
		for _, end := range t.words.ends {
			if since >= reportEvery {
				if err := ctx.Err(); err != nil {
					return err
				}
				report()
				since = 0
			}
			done := float64(at.Words) / float64(at.Total)
			t.sentence(t.words.words[start:end], float32(t.LearningRate*max(1-done, lastRate)))
			at.Words += int64(end - start)
			since += end - start
			start = end
		}
		at.Epoch++
		if err := ctx.Err(); err != nil {
			return err
		}
		report()
	}
	return nil
}

// sentence learns from one playlist, thinned out.
func (t *trainer) sentence(words []int32, rate float32) {
	t.kept = t.kept[:0]
	for _, w := range words {
		if p := t.keep[w]; p >= 1 || t.random.Float64() < p {
			t.kept = append(t.kept, w)
		}
	}
	for from, neighbour := range t.pairs(t.kept) {
		t.pair(from, neighbour, rate)
	}
}

// pairs are each track with its neighbours, within a window of random width around it.
func (t *trainer) pairs(words []int32) iter.Seq2[int32, int32] {
	return func(yield func(int32, int32) bool) {
		for i, centre := range words {
			width := 1 + t.random.IntN(t.Window)
			for j := max(0, i-width); j <= min(len(words)-1, i+width); j++ {
				if j != i && !yield(words[j], centre) {
					return
				}
			}
		}
	}
}

// pair moves the in vector of a track towards the out vector of a neighbour and away from those of random tracks,
// and these the same way.
func (t *trainer) pair(from, neighbour int32, rate float32) {
	in := t.vector(t.in, from)
	clear(t.step)
	for n := range t.Negative + 1 {
		target, label := neighbour, float32(1)
		if n > 0 {
			if target = t.negatives.draw(t.random); target == neighbour {
				continue
			}
			label = 0
		}
		out := t.vector(t.out, target)
		pull := (label - sigmoid(vectors.Dot(in, out))) * rate
		addScaled(t.step, out, pull)
		addScaled(out, in, pull)
	}
	addScaled(in, t.step, 1)
}

func (t *trainer) vector(all []float32, word int32) []float32 {
	return all[int(word)*t.Dim : (int(word)+1)*t.Dim]
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(float64(-x)))) }

// addScaled adds a·x to y, of one length.
func addScaled(y, x []float32, a float32) {
	x = x[:len(y)]
	i := 0
	for ; i+4 <= len(y); i += 4 {
		y[i] += a * x[i]
		y[i+1] += a * x[i+1]
		y[i+2] += a * x[i+2]
		y[i+3] += a * x[i+3]
	}
	for ; i < len(y); i++ {
		y[i] += a * x[i]
	}
}
