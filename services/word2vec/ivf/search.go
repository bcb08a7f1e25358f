package ivf

import (
	"context"
	"math"
	"slices"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf/topk"
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
	// mostFetched is rows of a list that are sent for before its turn: behind them the processor sees what comes next.
	mostFetched = 128
	block       = 256 // rows compared before the results are looked at; they stay in the nearest cache
)

// spare is how many candidates are found by codes, above k, before vectors rank them. Codes are off by about a
// thousandth at dimension 64: this many more miss fewer than one of a thousand neighbours.
func spare(k int) int { return 6 + k/4 }

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
	best    topk.Top
	seen    int // rows compared
	passed  int // of them, those that Accept let pass
	skipped int // candidates that were good enough, but on Skip
	looked  int // seen at the last look at the context
}

// scratch is memory that searches use one after the other.
type scratch struct {
	query  []float32
	wide   []int16
	cells  []float32        // how near each cell is; taken, once it is opened
	closed []topk.Candidate // those that are not opened
	opened []int
	lists  []float32 // how near each centroid of an opened cell is; taken, once it is among those to look into
	room   topk.Top
	ranks  topk.Top // in room
	found  topk.Top
	scores [block]float32
}

// taken is less than how near anything is.
var taken = float32(math.Inf(-1))

func (x *Index) newSearch(ctx context.Context, q Query) *search {
	memory, ok := x.scratch.Get().(*scratch)
	if !ok {
		memory = &scratch{
			query: make([]float32, RowLen(x.Dim)), wide: make([]int16, CodeLen(x.Dim)),
			cells: make([]float32, x.cells()), lists: make([]float32, x.Lists()),
		}
	}
	copy(memory.query, q.Vector[:x.Dim]) // what is behind is 0 and stays so
	room := q.K
	if len(x.Codes) > 0 {
		dot.Widen(memory.wide, q.Vector)
		room += spare(q.K)
	}
	room = min(room, x.Len())
	if cap(memory.found) < room {
		memory.found = make(topk.Top, 0, room)
	}
	return &search{scratch: memory, x: x, ctx: ctx, q: q, best: memory.found[:0:room]}
}

func (s *search) run() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.x.Lists() == 1 {
		return s.scan(0)
	}
	dot.Rows(s.cells, s.query, s.x.Cells)
	s.opened = s.opened[:0]
	lists, cells := s.x.Probes.of(float64(s.q.K)), s.x.CellProbes.of(float64(s.q.K))
	for looked := 0; ; {
		s.open(cells - len(s.opened))
		s.rank(lists - looked)
		for i, list := range s.ranks {
			if i+1 < len(s.ranks) {
				s.fetch(s.ranks[i+1].Row())
			}
			if err := s.scan(list.Row()); err != nil {
				return err
			}
		}
		looked += len(s.ranks)
		short := len(s.best) < min(s.q.K, cap(s.best))
		if looked == s.x.Lists() || !short && s.x.Probes.of(s.depth()) <= lists {
			return nil
		}
		// Go on where it was left off. How far is a guess from what was seen: at most as far again.
		lists, cells = 2*lists, 2*cells
		if !short {
			lists, cells = min(lists, s.x.Probes.of(s.depth())), min(cells, s.x.CellProbes.of(s.depth()))
		}
	}
}

// depth is how many of the nearest rows, of all that there are, have to be found to find the K that may be answered.
// What is skipped counts twice: it is nearer than the answers, which so are the hardest to find of their depth.
func (s *search) depth() float64 {
	return float64(s.q.K+2*s.skipped) * float64(s.seen) / float64(max(s.passed, 1))
}

// open compares the query with the centroids in the n nearest cells of those that are not open yet.
func (s *search) open(n int) {
	for _, cell := range s.nearest(n) {
		s.cells[cell.Row()] = taken
		s.opened = append(s.opened, cell.Row())
		first, last := int(s.x.CellStarts[cell.Row()]), int(s.x.CellStarts[cell.Row()+1])
		s.compare(s.lists[first:last], first, s.x.CentroidCodes, s.x.CentroidScales, s.x.Centroids)
	}
}

// nearest is the n nearest cells that are not open, or all of them, in no order.
func (s *search) nearest(n int) []topk.Candidate {
	s.closed = s.closed[:0]
	for cell, similarity := range s.cells {
		if similarity > taken {
			s.closed = append(s.closed, topk.New(cell, similarity))
		}
	}
	return topk.Best(s.closed, max(0, min(n, len(s.closed))))
}

// rank puts the n nearest lists, of those in open cells that have not been ranked yet, into ranks.
func (s *search) rank(n int) {
	n = max(0, min(n, len(s.lists)))
	if cap(s.room) < n {
		s.room = make(topk.Top, 0, n)
	}
	s.ranks = s.room[:0:n]
	worst := s.ranks.Worst()
	for _, cell := range s.opened {
		list, last := int(s.x.CellStarts[cell]), int(s.x.CellStarts[cell+1])
		for list += dot.Above(s.lists[list:last], worst); list < last; list += dot.Above(s.lists[list:last], worst) {
			s.ranks = s.ranks.Offer(topk.New(list, s.lists[list]))
			worst = s.ranks.Worst()
			list++
		}
	}
	s.ranks.Sort()
	for _, list := range s.ranks {
		s.lists[list.Row()] = taken
	}
}

// fetch sends for the rows of the list that will be scanned next: they are anywhere in memory.
func (s *search) fetch(list int) {
	from, to := int(s.x.Starts[list]), int(s.x.Starts[list+1])
	to = min(to, from+mostFetched)
	if len(s.x.Codes) > 0 {
		dot.Fetch(s.x.Codes[from*len(s.wide) : to*len(s.wide)])
		dot.Fetch(s.x.Scales[from:to])
	} else {
		dot.Fetch(s.x.Vectors[from*len(s.query) : to*len(s.query)])
	}
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
		s.compare(scores, from, s.x.Codes, s.x.Scales, s.x.Vectors)
		s.seen += len(scores)
		s.take(from, scores)
	}
	return nil
}

// compare sets scores to the query's products with vectors, from the given one on: by their codes if there are some.
func (s *search) compare(scores []float32, from int, codes []int8, scales, vectors []float32) {
	to := from + len(scores)
	if len(codes) > 0 {
		stride := len(s.wide)
		dot.Codes(scores, s.wide, codes[from*stride:to*stride], scales[from:to])
		return
	}
	stride := len(s.query)
	dot.Rows(scores, s.query, vectors[from*stride:to*stride])
}

// take offers the rows behind from to the best.
func (s *search) take(from int, scores []float32) {
	worst := s.best.Worst()
	if s.q.Accept == nil {
		s.passed += len(scores)
		for i := dot.Above(scores, worst); i < len(scores); i += dot.Above(scores[i:], worst) {
			worst = s.offer(from+i, scores[i])
			i++
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
		s.best = s.best.Offer(topk.New(row, similarity))
	}
	return s.best.Worst()
}

// answer is the best of the best, by their vectors.
func (s *search) answer() []Hit {
	if len(s.x.Codes) > 0 {
		stride := len(s.query)
		for _, c := range s.best {
			dot.Fetch(s.x.Vectors[c.Row()*stride : (c.Row()+1)*stride])
		}
		for i, c := range s.best {
			s.best[i] = topk.New(c.Row(), dot.One(s.query, s.x.Vectors[c.Row()*stride:(c.Row()+1)*stride]))
		}
	}
	s.best.Sort()
	hits := make([]Hit, min(s.q.K, len(s.best)))
	for i, c := range s.best[:len(hits)] {
		hits[i] = Hit{c.Row(), c.Similarity()}
	}
	return hits
}
