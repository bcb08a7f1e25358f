package topk

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestCandidatesAreInTheOrderOfSimilarityThenRow(t *testing.T) {
	negativeZero := float32(math.Copysign(0, -1))
	ascending := []struct {
		row        int
		similarity float32
	}{
		{0, float32(math.Inf(-1))}, {1, -1}, {7, -.5}, {3, -1e-30}, {math.MaxUint32, 0}, {9, negativeZero}, {5, 0}, {2, 1e-30},
		{2, .5}, {1, .5}, {8, 1},
	}
	for i, c := range ascending {
		got := New(c.row, c.similarity)
		if got.Row() != c.row || got.Similarity() != c.similarity {
			t.Errorf("%v comes back as %d, %v", c, got.Row(), got.Similarity())
		}
		if i > 0 && got <= New(ascending[i-1].row, ascending[i-1].similarity) {
			t.Errorf("%v is not better than %v", c, ascending[i-1])
		}
	}
}

func TestTopKeepsTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 5, 31, 100} {
		var all []Candidate
		best := make(Top, 0, n)
		for i := range 60 {
			c := New(i, float32(r.IntN(20)))
			if worst := best.Worst(); len(best) == n && n > 0 && worst != slices.Min(best).Similarity() {
				t.Fatalf("%d best: the worst is %v", n, worst)
			}
			all, best = append(all, c), best.Offer(c)
		}
		slices.Sort(all)
		slices.Reverse(all)
		best.Sort()
		if want := all[:min(n, len(all))]; !slices.Equal(best, want) {
			t.Errorf("%d best: %v, want %v", n, best, want)
		}
	}
	if none := make(Top, 0); !math.IsInf(float64(none.Worst()), 1) {
		t.Errorf("of none, the worst is %v: want what nothing is above", none.Worst())
	}
}

func TestBest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{0, 1, 2, 3, 13, 40, 500} {
		for _, kinds := range []int{1, 3, 1000} {
			all := make([]Candidate, size)
			for i := range all {
				all[i] = New(r.IntN(kinds), float32(r.IntN(kinds)))
			}
			for _, n := range []int{0, 1, 2, size / 3, size - 1, size} {
				if n < 0 || n > size {
					continue
				}
				want := slices.Clone(all)
				Top(want).Sort()
				got := Best(slices.Clone(all), n)
				Top(got).Sort()
				if !slices.Equal(got, want[:n]) {
					t.Errorf("the best %d of %d: %v, want %v", n, size, got, want[:n])
				}
			}
		}
	}
	// What is the worst for a median of three, or nearly: ascending, descending, and organ pipes.
	for name, of := range map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return -i },
		"pipes":      func(i int) int { return min(i, 1000-i) },
	} {
		all := make([]Candidate, 1000)
		for i := range all {
			all[i] = New(i, float32(of(i)))
		}
		want := slices.Clone(all)
		Top(want).Sort()
		got := Best(all, 300)
		Top(got).Sort()
		if !slices.Equal(got, want[:300]) {
			t.Errorf("%s: not the best", name)
		}
	}
}
