package sgns

import "math/rand/v2"

// alias draws numbers with given weights in constant time (Vose's alias method): each number is a column that is
// filled up with one other.
type alias struct {
	own   []float64 // the part of the column that is its own
	other []int32
}

// newAlias takes positive weights.
func newAlias(weights []float64) *alias {
	n := len(weights)
	a := &alias{own: make([]float64, n), other: make([]int32, n)}
	var sum float64
	for _, w := range weights {
		sum += w
	}
	var small, large []int32
	for i, w := range weights {
		a.own[i] = w * float64(n) / sum
		if a.own[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.other[s] = l
		a.own[l] -= 1 - a.own[s]
		if a.own[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, rest := range [][]int32{small, large} { // full but for rounding
		for _, i := range rest {
			a.own[i] = 1
		}
	}
	return a
}

func (a *alias) draw(r *rand.Rand) int32 {
	i := int32(r.Uint64N(uint64(len(a.own))))
	if r.Float64() < a.own[i] {
		return i
	}
	return a.other[i]
}
