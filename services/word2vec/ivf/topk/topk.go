// Package topk keeps the best of many candidates.
package topk

import (
	"math"
	"math/bits"
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

// few is how many are sorted rather than divided further.
const few = 12

// Best moves the n best of all, which has that many, to its front, in no order, and returns them. It is for many of
// many, where a heap would be changed for most: a quickselect.
func Best(all []Candidate, n int) []Candidate {
	low, high := 0, len(all) // those before low are among the n, those from high on are not
	for divided := 0; low < n && n < high; divided++ {
		if high-low <= few || divided > 2*bits.Len(uint(len(all))) { // the latter is bad luck
			Top(all[low:high]).Sort()
			break
		}
		if at := low + divide(all[low:high]); at < n {
			low = at + 1
		} else {
			high = at
		}
	}
	return all[:n]
}

// divide moves what is above one of x before it, and returns where that one is then.
func divide(x []Candidate) (at int) {
	last := len(x) - 1
	middle := len(x) / 2
	switch a, b, c := x[0], x[middle], x[last]; max(min(a, b), min(max(a, b), c)) { // the median goes last
	case a:
		x[0], x[last] = c, a
	case b:
		x[middle], x[last] = c, b
	}
	median := x[last]
	for i, c := range x[:last] { // as likely as not above, so without a branch on that: 1 is borrowed if it is
		x[i], x[at] = x[at], c
		_, above := bits.Sub64(uint64(median), uint64(c), 0)
		at += int(above)
	}
	x[at], x[last] = x[last], x[at]
	return at
}

// Sort puts the best first, which ends the heap.
func (t Top) Sort() {
	slices.Sort(t)
	slices.Reverse(t)
}
