package ivf

import (
	"cmp"
	"slices"
)

// candidate is a row, or a list, that may be among the nearest.
type candidate struct {
	row        int
	similarity float32
}

func (c candidate) worse(than candidate) bool {
	if c.similarity != than.similarity {
		return c.similarity < than.similarity
	}
	return c.row > than.row
}

// top keeps the best candidates, as many as its capacity, as a heap with the worst of them first.
type top []candidate

func (t top) offer(c candidate) top {
	if len(t) < cap(t) {
		t = append(t, c)
		t.up(len(t) - 1)
		return t
	}
	if len(t) > 0 && t[0].worse(c) {
		t[0] = c
		t.down()
	}
	return t
}

func (t top) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t[i].worse(t[parent]) {
			return
		}
		t[i], t[parent] = t[parent], t[i]
		i = parent
	}
}

func (t top) down() {
	for i := 0; ; {
		worst := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(t) && t[child].worse(t[worst]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		t[i], t[worst] = t[worst], t[i]
		i = worst
	}
}

// sort puts the best first, which ends the heap.
func (t top) sort() {
	slices.SortFunc(t, func(a, b candidate) int {
		if a.similarity != b.similarity {
			return cmp.Compare(b.similarity, a.similarity)
		}
		return cmp.Compare(a.row, b.row)
	})
}
