package ivf

import (
	"context"
	"math"
	"slices"

	"homefeed/services/word2vec/dot"
)

// Query asks for the K rows that are nearest to a direction.
type Query struct {
	Vector []float32 // of length 1, Dim values
	K      int
	// Accept says which rows may be among the answers; nil: all. The search goes on until it has looked among
	// those as widely as it looks without, so that a filter neither shortens the answer nor worsens it.
	Accept func(row int) bool
	Skip   []uint32 // rows that may not be either, ascending
}

// Hit is a row and its cosine with the query.
type Hit struct {
	Row        int
	Similarity float32
}

const (
	lookEvery = 16 << 10 // rows between two looks whether the answer is still wanted: well under a millisecond
	block     = 256      // rows compared before the results are looked at; they stay in the nearest cache
)

// spare is how many candidates are found by codes, above k, before vectors rank them. Codes are off by about a
// thousandth at dimension 64: this many more miss fewer than one of a thousand neighbours.
func spare(k int) int { return 16 + k/2 }

// Search returns the K nearest rows that may be answered, or as many as there are, best first; where two are as near,
// the first row. The only error is the context's, which a long search looks at as it goes.
func (x *Index) Search(ctx context.Context, q Query) ([]Hit, error) {
	if q.K <= 0 || x.Len() == 0 {
		return nil, ctx.Err()
	}
	s := x.newSearch(ctx, q)
	defer x.scratch.Put(s.scratch)
	if err := s.run(); err != nil {
		return nil, err
	}
	return s.answer(), nil
}

// search is one search as it goes.
type search struct {
	*scratch
	x       *Index
	ctx     context.Context
	q       Query
	best    top
	seen    int // rows compared
	passed  int // of them, those that Accept let pass
	skipped int // candidates that were good enough, but on Skip
	looked  int // seen at the last look at the context
}

// scratch is memory that searches use one after the other.
type scratch struct {
	query  []float32
	wide   []int16
	lists  []float32 // how near each centroid is
	ranks  top
	scores [block]float32
}

func (x *Index) newSearch(ctx context.Context, q Query) *search {
	memory, ok := x.scratch.Get().(*scratch)
	if !ok {
		memory = &scratch{
			query: make([]float32, RowLen(x.Dim)), wide: make([]int16, CodeLen(x.Dim)), lists: make([]float32, x.Lists()),
		}
	}
	copy(memory.query, q.Vector[:x.Dim]) // what is behind is 0 and stays so
	room := q.K
	if len(x.Codes) > 0 {
		dot.Widen(memory.wide, q.Vector)
		room += spare(q.K)
	}
	return &search{scratch: memory, x: x, ctx: ctx, q: q, best: make(top, 0, min(room, x.Len()))}
}

func (s *search) run() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.x.Lists() == 1 {
		return s.scan(0)
	}
	if len(s.x.CentroidCodes) > 0 {
		dot.Codes(s.lists, s.wide, s.x.CentroidCodes, s.x.CentroidScales)
	} else {
		dot.Rows(s.lists, s.query, s.x.Centroids)
	}
	enough := s.x.Probes.of(float64(s.q.K))
	for i := 0; i < s.x.Lists(); i++ {
		if i == len(s.ranks) || i == 0 {
			s.rank(min(max(enough, 2*i), s.x.Lists()))
		}
		if err := s.scan(s.ranks[i].row); err != nil {
			return err
		}
		if i+1 >= enough && len(s.best) >= min(s.q.K, cap(s.best)) && i+1 >= s.x.Probes.of(s.depth()) {
			break
		}
	}
	return nil
}

// depth is how many of the nearest rows, of all that there are, have to be found to find the K that may be answered.
// What is skipped counts twice: it is nearer than the answers, which so are the hardest to find of their depth.
func (s *search) depth() float64 {
	return float64(s.q.K+2*s.skipped) * float64(s.seen) / float64(max(s.passed, 1))
}

// rank puts the n nearest lists into ranks, best first. Those that were there stay where they are.
func (s *search) rank(n int) {
	if cap(s.ranks) < n {
		s.ranks = make(top, 0, n)
	}
	s.ranks = s.ranks[:0:n]
	for list, similarity := range s.lists {
		if len(s.ranks) < n || similarity > s.ranks[0].similarity {
			s.ranks = s.ranks.offer(candidate{list, similarity})
		}
	}
	s.ranks.sort()
}

// scan compares the query with the rows of a list.
func (s *search) scan(list int) error {
	end := int(s.x.Starts[list+1])
	for from := int(s.x.Starts[list]); from < end; from += block {
		to := min(from+block, end)
		if s.seen-s.looked >= lookEvery {
			s.looked = s.seen
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
		scores := s.scores[:to-from]
		if len(s.x.Codes) > 0 {
			stride := len(s.wide)
			dot.Codes(scores, s.wide, s.x.Codes[from*stride:to*stride], s.x.Scales[from:to])
		} else {
			stride := len(s.query)
			dot.Rows(scores, s.query, s.x.Vectors[from*stride:to*stride])
		}
		s.seen += len(scores)
		s.take(from, scores)
	}
	return nil
}

// take offers the rows behind from to the best.
func (s *search) take(from int, scores []float32) {
	worst := s.best.worst()
	if s.q.Accept == nil {
		s.passed += len(scores)
		for i, similarity := range scores {
			if similarity > worst {
				worst = s.offer(from+i, similarity)
			}
		}
		return
	}
	for i, similarity := range scores {
		if s.q.Accept(from + i) {
			s.passed++
			if similarity > worst {
				worst = s.offer(from+i, similarity)
			}
		}
	}
}

// offer puts a row among the best, if it may be there, and returns what the next has to be above.
func (s *search) offer(row int, similarity float32) float32 {
	if _, skip := slices.BinarySearch(s.q.Skip, uint32(row)); skip {
		s.skipped++
	} else {
		s.best = s.best.offer(candidate{row, similarity})
	}
	return s.best.worst()
}

// answer is the best of the best, by their vectors.
func (s *search) answer() []Hit {
	if len(s.x.Codes) > 0 {
		for i := range s.best {
			stride := len(s.query)
			at := s.best[i].row * stride
			s.best[i].similarity = dot.One(s.query, s.x.Vectors[at:at+stride])
		}
	}
	s.best.sort()
	hits := make([]Hit, min(s.q.K, len(s.best)))
	for i := range hits {
		hits[i] = Hit{s.best[i].row, s.best[i].similarity}
	}
	return hits
}

// worst is what a similarity has to be above to be among the best.
func (t top) worst() float32 {
	if len(t) < cap(t) {
		return float32(math.Inf(-1))
	}
	return t[0].similarity
}
