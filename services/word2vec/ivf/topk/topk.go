// Package topk keeps the best of many candidates.
package topk

import (
	"math"
	"slices"
)

// Candidate is a row, or a list, that may be among the nearest: its similarity, so that a greater number is one that
// is nearer, and behind that its row, inverted, so that of those as near the first is greatest. One number is compared
// in one step, of which a search takes thousands.
type Candidate uint64

// New makes a candidate of a row below 2³² and its similarity, which is a number.
func New(row int, similarity float32) Candidate {
	bits := math.Float32bits(similarity + 0) // which makes 0 of −0
	// Numbers above 0 are in the order of their bits, and those below in the opposite one.
	bits ^= uint32(int32(bits)>>31) | 1<<31
	return Candidate(bits)<<32 | Candidate(^uint32(row))
}

// Row is the candidate's row.
func (c Candidate) Row() int { return int(^uint32(c)) }

// Similarity is how near it is.
func (c Candidate) Similarity() float32 {
	bits := uint32(c >> 32)
	return math.Float32frombits(bits ^ (^uint32(int32(bits)>>31) | 1<<31))
}

// Top keeps the best candidates, as many as its capacity, as a heap with the worst of them first.
type Top []Candidate

// Offer puts the candidate among the best, if it is one of them, and returns those as append does.
func (t Top) Offer(c Candidate) Top {
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

func (t Top) up(i int) {
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
func (t Top) down(c Candidate) {
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

// Worst is what a similarity has to be above to be among the best: of none at all, what nothing is.
func (t Top) Worst() float32 {
	switch {
	case cap(t) == 0:
		return float32(math.Inf(1))
	case len(t) < cap(t):
		return float32(math.Inf(-1))
	}
	return t[0].Similarity()
}

// Sort puts the best first, which ends the heap.
func (t Top) Sort() {
	slices.Sort(t)
	slices.Reverse(t)
}
