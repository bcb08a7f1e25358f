package sgns

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/word2vec/vectors"
)

func corpusOf(t *testing.T, playlists ...[]string) *Corpus {
	t.Helper()
	c, err := NewCorpus(slices.Values(playlists))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trainerOf(t *testing.T, cfg Config, playlists ...[]string) *trainer {
	t.Helper()
	v, err := newVocabulary(corpusOf(t, playlists...), cfg.MinCount)
	if err != nil {
		t.Fatal(err)
	}
	return newTrainer(v, cfg)
}

// What a pair changes must be the gradient of the loss that SGNS is defined by, times the rate.
func TestPairFollowsTheGradient(t *testing.T) {
	cfg := Default()
	cfg.Dim, cfg.Negative = 7, 3
	tr := trainerOf(t, cfg, []string{"a", "b", "c", "d", "e", "f"})
	fill := rand.New(rand.NewPCG(1, 1))
	for i := range tr.in {
		tr.in[i], tr.out[i] = fill.Float32()-.5, fill.Float32()-.5
	}
	const from, neighbour, rate = 2, 4, 1e-3

	// The tracks that pair will draw, from a source in the same state.
	tr.random = rand.New(rand.NewPCG(5, 5))
	again := rand.New(rand.NewPCG(5, 5))
	var drawn []int32
	for range cfg.Negative {
		if n := tr.negatives.draw(again); n != neighbour {
			drawn = append(drawn, n)
		}
	}
	loss := func(in, out []float32) float64 {
		dot := func(target int32) float64 {
			var sum float64
			for i := range cfg.Dim {
				sum += float64(in[from*cfg.Dim+i]) * float64(out[int(target)*cfg.Dim+i])
			}
			return sum
		}
		l := math.Log1p(math.Exp(-dot(neighbour)))
		for _, n := range drawn {
			l += math.Log1p(math.Exp(dot(n)))
		}
		return l
	}
	in, out := slices.Clone(tr.in), slices.Clone(tr.out)
	tr.pair(from, neighbour, rate)

	const h = 1e-2
	for name, side := range map[string]struct{ before, after []float32 }{"in": {in, tr.in}, "out": {out, tr.out}} {
		for i := range side.before {
			old := side.before[i]
			side.before[i] = old + h
			up := loss(in, out)
			side.before[i] = old - h
			down := loss(in, out)
			side.before[i] = old
			want := -rate * (up - down) / (2 * h)
			// A track drawn twice is moved twice, the second time from where the first left it: second order.
			if got := float64(side.after[i] - old); math.Abs(got-want) > 2e-6 {
				t.Errorf("%s[%d] moved by %v, want %v", name, i, got, want)
			}
		}
	}
}

func TestPairsStayInTheWindow(t *testing.T) {
	cfg := Default()
	cfg.Window = 3
	tr := trainerOf(t, cfg, []string{"a", "b"})
	words := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	const rounds = 3_000
	at := map[int32]int{} // pairs by distance, of a track that has room on both sides
	for range rounds {
		for from, centre := range tr.pairs(words) {
			if from == centre || from < 0 || from > 9 {
				t.Fatalf("pair %d, %d", from, centre)
			}
			if centre == 5 {
				at[from-centre]++
			}
		}
	}
	// A width of 1, 2 or 3, each as likely: neighbours always, the next two thirds of the time, the last one third.
	for distance, want := range map[int32]float64{-3: 1. / 3, -2: 2. / 3, -1: 1, 1: 1, 2: 2. / 3, 3: 1. / 3} {
		if got := float64(at[distance]) / rounds; math.Abs(got-want) > .05 {
			t.Errorf("distance %d in %.3f of rounds, want %.3f", distance, got, want)
		}
	}
	if len(at) != 6 {
		t.Errorf("distances %v, want −3 to 3", at)
	}
}

// b is always followed by c, but across a border: it must learn that c is not beside it.
func TestPlaylistsHaveBorders(t *testing.T) {
	var playlists [][]string
	for range 500 {
		playlists = append(playlists, []string{"a", "b"}, []string{"c", "d"})
	}
	cfg := Default()
	cfg.Dim, cfg.Sample = 8, 0
	tr := trainerOf(t, cfg, playlists...)
	if err := tr.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	beside := func(from, neighbour string) float32 {
		i, j := slices.Index(tr.words.ids, from), slices.Index(tr.words.ids, neighbour)
		return vectors.Dot(tr.vector(tr.in, int32(i)), tr.vector(tr.out, int32(j)))
	}
	for _, pair := range [][3]string{{"b", "a", "c"}, {"c", "d", "b"}, {"a", "b", "d"}, {"d", "c", "a"}} {
		inside, across := beside(pair[0], pair[1]), beside(pair[0], pair[2])
		if inside < across+2 {
			t.Errorf("%s is beside %s with %.2f, but across a border beside %s with %.2f",
				pair[0], pair[1], inside, pair[2], across)
		}
	}
}

func TestVocabulary(t *testing.T) {
	c := corpusOf(t,
		[]string{"b", "a", "b", "rare"},
		nil,
		[]string{"alone"}, []string{"alone"},
		[]string{"c", "a"},
		[]string{"b", "rare2"}, // b remains alone
	)
	if c.Playlists() != 5 || c.Words() != 10 || c.Tracks() != 6 {
		t.Errorf("%d playlists, %d words, %d tracks", c.Playlists(), c.Words(), c.Tracks())
	}
	v, err := newVocabulary(c, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := &vocabulary{ids: []string{"b", "a"}, counts: []int{2, 1}, words: []int32{0, 1, 0}, ends: []int{3}}
	if diff := cmp.Diff(want, v, cmp.AllowUnexported(vocabulary{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := newVocabulary(c, 5); err == nil {
		t.Error("a vocabulary of nothing")
	}
}

func TestKeepThinsOutTheFrequent(t *testing.T) {
	v := &vocabulary{counts: []int{900, 90, 10}, words: make([]int32, 1000)}
	const sample = .04
	want := []float64{math.Sqrt(.04/.9) + .04/.9, 1, 1} // √(.04/.09) + .04/.09 is over 1
	if diff := cmp.Diff(want, v.keep(sample)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]float64{1, 1, 1}, v.keep(0)); diff != "" {
		t.Errorf("without thinning (-want +got)\n%s", diff)
	}
}

func TestAliasDrawsByWeight(t *testing.T) {
	for _, weights := range [][]float64{{1}, {1, 1}, {1, 2, 3, 4}, {1e-6, 5, 1e-6}, {8, 1, 1, 1, 1, 1, 1, 1, 1}} {
		a := newAlias(weights)
		r := rand.New(rand.NewPCG(3, 3))
		var sum float64
		for _, w := range weights {
			sum += w
		}
		drawn := make([]int, len(weights))
		const n = 100_000
		for range n {
			drawn[a.draw(r)]++
		}
		for i, w := range weights {
			p := w / sum
			if got := float64(drawn[i]) / n; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n)+1e-9 {
				t.Errorf("weights %v: %d drawn with %.4f, want %.4f", weights, i, got, p)
			}
		}
	}
}
