package sgns

import (
	"fmt"
	"math"
	"testing"
)

func TestSharesAreDrawnAlike(t *testing.T) {
	weightsOf := func(n int, weight func(i int) float64) []float64 {
		all := make([]float64, n)
		for i := range all {
			all[i] = weight(i)
		}
		return all
	}
	alike := func(int) float64 { return 2 }
	byRank := func(exponent float64) func(int) float64 {
		return func(i int) float64 { return math.Pow(float64(i+1), exponent) }
	}
	for _, c := range []struct {
		name          string
		weights       []float64
		threads, want int
	}{
		{"one thread", weightsOf(100_000, alike), 1, 1},
		{"a share for each", weightsOf(16_000, alike), 4, 4},
		{"no more than tracks allow", weightsOf(15_999, alike), 4, 3},
		{"few tracks", weightsOf(7_999, byRank(-.75)), 2, 1},
		{"one track", weightsOf(1, alike), 8, 1},
		{"falling weights", weightsOf(50_000, byRank(-.75)), 2, 2},
		{"few tracks have most of the weight", weightsOf(50_000, byRank(-.75)), 8, 3},
		{"next to all of the weight", weightsOf(50_000, byRank(-3)), 8, 1},
		{"rising weights", weightsOf(50_000, byRank(3)), 8, 8},
		{"the last tracks have most of the weight", weightsOf(50_000, byRank(50)), 8, 2},
	} {
		shares := newShares(c.weights, c.threads)
		if len(shares) != c.want {
			t.Errorf("%s: %d shares, want %d", c.name, len(shares), c.want)
		}
		all, end := sum(c.weights), 0
		for i, s := range shares {
			if int(s.first) != end {
				t.Errorf("%s: share %d begins with track %d, want %d", c.name, i, s.first, end)
			}
			end += len(s.alias)
			if n := min(leastShare, len(c.weights)); len(s.alias) < n-1 { // where it is cut, a track is one too many or few
				t.Errorf("%s: share %d has %d tracks, want %d or more", c.name, i, len(s.alias), n)
			}
			weight := sum(c.weights[s.first:end]) / all
			if want := 1 / float64(len(shares)); math.Abs(weight-want) > .02*want {
				t.Errorf("%s: share %d is drawn from with %.3f, want %.3f", c.name, i, weight, want)
			}
			r := randomOf(1, uint64(i))
			for range 1_000 {
				if track := s.draw(&r); track < s.first || int(track) >= end {
					t.Fatalf("%s: share %d, which is %d to %d, drew %d", c.name, i, s.first, end-1, track)
				}
			}
		}
		if end != len(c.weights) {
			t.Errorf("%s: the shares have %d tracks, want %d", c.name, end, len(c.weights))
		}
	}
}

// However many blocks an epoch has, in time each of them meets each share about as often as any other; and threads that
// are in step never have the same.
func TestSharesTakeTurns(t *testing.T) {
	const threads, epochs = 3, 600
	tr := &trainer{Config: Config{Threads: threads}, shares: make([]share, threads)}
	for i := range tr.shares {
		tr.shares[i].first = int32(i)
	}
	for blocks := int64(1); blocks <= 7; blocks++ {
		met := map[string]int{}
		taken := map[int32]bool{}
		for n := range epochs * blocks {
			if n%threads == 0 {
				clear(taken)
			}
			own := tr.shareOf(n).first
			if taken[own] {
				t.Fatalf("block %d: another thread has share %d", n, own)
			}
			taken[own] = true
			met[fmt.Sprintf("block %d of %d, share %d", n%blocks, blocks, own)]++
		}
		for what, n := range met {
			if p := float64(n) / epochs; math.Abs(p-1./threads) > .1 { // five deviations
				t.Errorf("%s: in %.2f of the epochs, want a third", what, p)
			}
		}
		if len(met) != threads*int(blocks) {
			t.Errorf("%d blocks an epoch: %d of them and their shares met, want all %d", blocks, len(met), threads*blocks)
		}
	}
}
