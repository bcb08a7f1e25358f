package ivf

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf/clusters"
)

// DefaultRecall is the share of the 10 nearest that a search has to find if nobody says otherwise.
const DefaultRecall = .98

// Options says how an index is built. Zero fields take the defaults.
type Options struct {
	// Recall is the share of the 10 nearest that a search has to find, 0.5 to 1; 0 means DefaultRecall.
	Recall float64
	// Lists is how many lists there are about; 0 finds out which of 10√n and 20√n is cheaper, or that n rows need
	// none, as decided by ExactBelow. 1 scans all rows.
	Lists int
	// Plain leaves out the codes: a fifth less memory, and more of it to read in a search.
	Plain bool
	Seed  uint64
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	if o.Recall != 0 && !(o.Recall >= .5 && o.Recall <= 1) {
		return fmt.Errorf("recall %v: want 0.5 to 1", o.Recall)
	}
	if o.Lists < 0 {
		return fmt.Errorf("lists %d: want 0, which finds the best number, or more", o.Lists)
	}
	return nil
}

// Report is what building found out.
type Report struct {
	Recall float64 // the share of the 10 nearest that searches for a sample of the rows found
	Rows   float64 // the rows that each compared its query with, centroids included
}

// Built is an index and what it was made from: row i is Order[i] of the source.
type Built struct {
	*Index
	Order  []int
	Report Report
}

// Build makes the index of unit vectors of one dimension, one behind the other. The same vectors, options and
// processor give the same index, on any number of threads. It fails for wrong options and when ctx ends.
func Build(ctx context.Context, dim int, vectors []float32, o Options) (*Built, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Recall == 0 {
		o.Recall = DefaultRecall
	}
	p := pad(dim, vectors)
	if o.Lists == 1 || o.Lists == 0 && p.Len() < ExactBelow {
		return scanned(dim, p), ctx.Err()
	}
	r := rand.New(rand.NewPCG(o.Seed, 0))
	exam, err := newExam(ctx, p, r)
	if err != nil {
		return nil, err
	}
	var best *plan
	for _, lists := range candidates(p.Len(), o.Lists) {
		c, err := clusters.Divide(ctx, p, exam.others(), lists, r)
		if err != nil {
			return nil, err
		}
		drawn, err := exam.plan(ctx, c, o.Recall)
		if err != nil {
			return nil, err
		}
		if best == nil || drawn.cost < best.cost {
			best = drawn
		}
	}
	built := best.build(dim, p, o.Plain)
	return built, exam.settle(ctx, built, best, o.Recall)
}

// Scan is an index of one list: searches compare all rows, and are exact.
func Scan(dim int, vectors []float32) *Built { return scanned(dim, pad(dim, vectors)) }

func scanned(dim int, p clusters.Points) *Built {
	order := make([]int, p.Len())
	for i := range order {
		order[i] = i
	}
	x := &Index{Dim: dim, Vectors: p.All, Starts: []uint32{0, uint32(p.Len())}, Probes: Probes{1, 1, 1}}
	return &Built{x, order, Report{Recall: 1, Rows: float64(p.Len())}}
}

// candidates are the numbers of lists to try.
func candidates(rows, wanted int) []int {
	if wanted > 0 {
		return []int{min(wanted, rows)}
	}
	root := math.Sqrt(float64(rows))
	return []int{int(10 * root), int(20 * root)}
}

// pad is the vectors as points whose length the kernels take. They are not copied if it already is.
func pad(dim int, vectors []float32) clusters.Points {
	p := clusters.Points{Stride: RowLen(dim), All: vectors}
	if p.Stride == dim {
		return p
	}
	n := len(vectors) / dim
	p.All = make([]float32, n*p.Stride)
	for i := range n {
		copy(p.At(i), vectors[i*dim:(i+1)*dim])
	}
	return p
}

// build moves the rows into their lists, where they keep the order that they had.
func (pl *plan) build(dim int, p clusters.Points, plain bool) *Built {
	x := &Index{
		Dim: dim, Vectors: make([]float32, len(p.All)), Centroids: pl.clusters.All, Starts: pl.starts, Probes: pl.lists,
		Cells: pl.clusters.Cells, CellStarts: pl.clusters.Starts, CellProbes: pl.cells,
	}
	order, next := make([]int, p.Len()), append([]uint32(nil), pl.starts...)
	for i, list := range pl.home {
		row := int(next[list])
		next[list]++
		order[row] = i
		copy(x.Vectors[row*p.Stride:], p.At(i))
	}
	if !plain {
		middle := p.Mean()[:dim]
		x.Codes, x.Scales = encode(middle, x.Vectors)
		x.CentroidCodes, x.CentroidScales = encode(middle, x.Centroids)
	}
	return &Built{Index: x, Order: order}
}

// encode is the codes of padded vectors, of how each differs from the middle: a query's product with the middle is the
// same for all, and so of no consequence to which is nearest. What models learn has much in common, and codes are as
// coarse as their largest number.
func encode(middle []float32, all []float32) (codes []int8, scales []float32) {
	dim := len(middle)
	from, to := RowLen(dim), CodeLen(dim)
	codes, scales = make([]int8, len(all)/from*to), make([]float32, len(all)/from)
	own := make([]float32, dim)
	for i := range scales {
		for j, value := range all[i*from : i*from+dim] {
			own[j] = value - middle[j]
		}
		scales[i] = dot.Encode(codes[i*to:(i+1)*to], own)
	}
	return codes, scales
}

// startsOf is where each list starts, given the list of each point.
func startsOf(home []int, lists int) []uint32 {
	starts := make([]uint32, lists+1)
	for _, list := range home {
		starts[list+1]++
	}
	for i := range lists {
		starts[i+1] += starts[i]
	}
	return starts
}
