package sgns

import "math"

// alias draws numbers with given weights in constant time (Vose's alias method): each number is a column that is
// filled up with one other. A column takes eight bytes, so that those of all tracks stay near the processor.
type alias []column

type column struct {
	own   uint32 // the part of the column that is its own, of 2³²
	other int32
}

// newAlias takes positive weights.
func newAlias(weights []float64) alias {
	n := len(weights)
	var sum float64
	for _, w := range weights {
		sum += w
	}
	fill := make([]float64, n)
	var small, large []int32
	for i, w := range weights {
		fill[i] = w * float64(n) / sum
		if fill[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	a := make(alias, n)
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a[s] = column{own: uint32(fill[s] * (1 << 32)), other: l}
		fill[l] -= 1 - fill[s]
		if fill[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, rest := range [][]int32{small, large} { // full but for rounding
		for _, i := range rest {
			a[i] = column{own: math.MaxUint32, other: i}
		}
	}
	return a
}

func (a alias) draw(r *random) int32 {
	i, rest := r.below(len(a))
	c := a[i]
	drawn := int32(i)
	if rest >= c.own { // compiled to no branch, which nobody could foretell
		drawn = c.other
	}
	return drawn
}
