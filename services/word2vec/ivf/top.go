package ivf

import (
	"math"
	"slices"
)

// candidate is a row, or a list, that may be among the nearest: its similarity, so that a greater number is one that
// is nearer, and behind that its row, inverted, so that of those as near the first is greatest. One number is compared
// in one step, of which a search takes thousands.
type candidate uint64

func newCandidate(row int, similarity float32) candidate {
	bits := math.Float32bits(similarity + 0) // which makes 0 of −0
	// Numbers above 0 are in the order of their bits, and those below in the opposite one.
	bits ^= uint32(int32(bits)>>31) | 1<<31
	return candidate(bits)<<32 | candidate(^uint32(row))
}

func (c candidate) row() int { return int(^uint32(c)) }

func (c candidate) similarity() float32 {
	bits := uint32(c >> 32)
	return math.Float32frombits(bits ^ (^uint32(int32(bits)>>31) | 1<<31))
}

// top keeps the best candidates, as many as its capacity, as a heap with the worst of them first.
type top []candidate

func (t top) offer(c candidate) top {
	if len(t) < cap(t) {
		t = append(t, c)
		t.up(len(t) - 1)
		return t
	}
	if len(t) > 0 && t[0] < c {
		t.down(c)
	}
	return t
}

func (t top) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t[i] >= t[parent] {
			return
		}
		t[i], t[parent] = t[parent], t[i]
		i = parent
	}
}

// down puts c in the place of the worst.
func (t top) down(c candidate) {
	i := 0
	for child := 1; child < len(t); child = 2*i + 1 {
		if right := child + 1; right < len(t) {
			least := t[child]
			if t[right] < least { // as likely as not, so written for the compiler not to branch on
				child = right
			}
		}
		if t[child] >= c {
			break
		}
		t[i] = t[child]
		i = child
	}
	t[i] = c
}

// worst is what a similarity has to be above to be among the best.
func (t top) worst() float32 {
	switch {
	case cap(t) == 0:
		return float32(math.Inf(1))
	case len(t) < cap(t):
		return taken
	}
	return t[0].similarity()
}

// sort puts the best first, which ends the heap.
func (t top) sort() {
	slices.Sort(t)
	slices.Reverse(t)
}
