package ivf

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
		got := newCandidate(c.row, c.similarity)
		if got.row() != c.row || got.similarity() != c.similarity {
			t.Errorf("%v comes back as %d, %v", c, got.row(), got.similarity())
		}
		if i > 0 && got <= newCandidate(ascending[i-1].row, ascending[i-1].similarity) {
			t.Errorf("%v is not better than %v", c, ascending[i-1])
		}
	}
}

func TestTopKeepsTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 5, 31, 100} {
		var all []candidate
		best := make(top, 0, n)
		for i := range 60 {
			c := newCandidate(i, float32(r.IntN(20)))
			if worst := best.worst(); len(best) == n && n > 0 && worst != slices.Min(best).similarity() {
				t.Fatalf("%d best: the worst is %v", n, worst)
			}
			all, best = append(all, c), best.offer(c)
		}
		slices.Sort(all)
		slices.Reverse(all)
		best.sort()
		if want := all[:min(n, len(all))]; !slices.Equal(best, want) {
			t.Errorf("%d best: %v, want %v", n, best, want)
		}
	}
	if none := make(top, 0); !math.IsInf(float64(none.worst()), 1) {
		t.Errorf("of none, the worst is %v: want what nothing is above", none.worst())
	}
}
