package sgns

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/word2vec/sgns/kernel"
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
	return newTrainer(v, cfg, kernel.Best())
}

// worker is a thread of its own.
func (t *trainer) worker() *worker {
	w := &worker{trainer: t, nothing: int32(len(t.words.ids)), share: t.shares[0], random: 5, rate: 1e-3}
	w.step.In, w.step.Out = t.in, t.out
	return w
}

// What a track learns must be the gradient of the loss that SGNS is defined by, times the rate, however many random
// tracks there are to be against and however they fit into a step.
func TestLearnFollowsTheGradient(t *testing.T) {
	for _, negative := range []int{1, 3, 5, 6, 13} {
		cfg := Default()
		cfg.Dim, cfg.Negative = 7, negative
		tr := trainerOf(t, cfg, []string{"a", "b", "c", "d", "e", "f"})
		fill := rand.New(rand.NewPCG(1, 1))
		for i := range int32(6) {
			for k := range cfg.Dim {
				tr.in.Row(i)[k], tr.out.Row(i)[k] = fill.Float32()-.5, fill.Float32()-.5
			}
		}
		w := tr.worker()
		near, centre := []int32{2, 0, 5}, int32(4)

		var drawn []int32
		for range negative {
			n := w.draw()
			w.drawn = append(w.drawn, n)
			if n != centre {
				drawn = append(drawn, n)
			}
		}
		loss := func(in, out []float32) float64 {
			var l float64
			for _, from := range near {
				dot := func(target int32) float64 {
					var sum float64
					for k := range cfg.Dim {
						sum += float64(in[int(from)*tr.in.Stride+k]) * float64(out[int(target)*tr.out.Stride+k])
					}
					return sum
				}
				l += math.Log1p(math.Exp(-dot(centre)))
				for _, n := range drawn {
					l += math.Log1p(math.Exp(dot(n)))
				}
			}
			return l
		}
		in, out := slices.Clone(tr.in.Data), slices.Clone(tr.out.Data)
		w.learn(near, centre)

		const h = 1e-2
		for name, side := range map[string]struct{ before, after []float32 }{"in": {in, tr.in.Data}, "out": {out, tr.out.Data}} {
			for i := range side.before {
				old := side.before[i]
				side.before[i] = old + h
				up := loss(in, out)
				side.before[i] = old - h
				down := loss(in, out)
				side.before[i] = old
				want := -float64(w.rate) * (up - down) / (2 * h)
				// What takes two steps starts the second where the first left it: second order.
				if got := float64(side.after[i] - old); math.Abs(got-want) > 2e-5 {
					t.Errorf("%d random: %s[%d] moved by %v, want %v", negative, name, i, got, want)
				}
			}
		}
	}
}

func TestPairsStayInTheWindow(t *testing.T) {
	cfg := Default()
	cfg.Window = 3
	w := trainerOf(t, cfg, []string{"a", "b"}).worker()
	w.kept = []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	const rounds = 3_000
	at := map[int32]int{} // neighbours by distance, of a track that has room on both sides
	for range rounds {
		for centre := range w.kept {
			w.neighbours(centre)
			for _, from := range w.near {
				if from == int32(centre) {
					t.Fatalf("%d is near itself", from)
				}
				if centre == 5 {
					at[from-5]++
				}
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

// The streams of two blocks must have nothing in common, and each must be even.
func TestRandomIsEvenAndApart(t *testing.T) {
	const n = 200_000
	seen := map[uint64]bool{}
	var sum float64
	buckets := make([]float64, 10)
	for part := range uint64(2) {
		r := randomOf(1, part)
		for range n / 2 {
			seen[r.next()] = true
			sum += float64(r.float())
			i, _ := r.below(len(buckets))
			buckets[i]++
		}
	}
	if len(seen) != n {
		t.Errorf("%d different numbers, want %d", len(seen), n)
	}
	if mean := sum / n; math.Abs(mean-.5) > .005 {
		t.Errorf("the mean is %v, want .5", mean)
	}
	for i, got := range buckets {
		if math.Abs(got/n-.1) > .005 {
			t.Errorf("%d comes up with %v, want .1", i, got/n)
		}
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
		return kernel.Dot(tr.in.Row(int32(i)), tr.out.Row(int32(j)))
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
	const all = math.MaxUint32
	share := math.Sqrt(.04/.9) + .04/.9
	want := []uint32{uint32(share * all), all, all} // √(.04/.09) + .04/.09 is over 1
	if diff := cmp.Diff(want, v.keep(sample)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]uint32{all, all, all}, v.keep(0)); diff != "" {
		t.Errorf("without thinning (-want +got)\n%s", diff)
	}
}

func TestAliasDrawsByWeight(t *testing.T) {
	for _, weights := range [][]float64{{1}, {1, 1}, {1, 2, 3, 4}, {1e-6, 5, 1e-6}, {8, 1, 1, 1, 1, 1, 1, 1, 1}} {
		a := newAlias(weights)
		r := randomOf(3, 3)
		var sum float64
		for _, w := range weights {
			sum += w
		}
		drawn := make([]int, len(weights))
		const n = 100_000
		for range n {
			drawn[a.draw(&r)]++
		}
		for i, w := range weights {
			p := w / sum
			if got := float64(drawn[i]) / n; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n)+1e-9 {
				t.Errorf("weights %v: %d drawn with %.4f, want %.4f", weights, i, got, p)
			}
		}
	}
}
