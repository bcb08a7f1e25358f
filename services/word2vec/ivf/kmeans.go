package ivf

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf/topk"
)

const (
	// pointsPerCentroid is how many points a centroid is learnt from: more cost time and move it little.
	pointsPerCentroid = 128
	rounds            = 8 // of k-means on that sample
	// settling is the rounds with all points after the cells were divided one by one, which mends their borders.
	settling = 2
	// nearCells is into how many cells a point looks for its centroid.
	nearCells = 10
)

// cellsFor is into how many cells n centroids are divided. With √(n·nearCells) of them, comparing with all of the
// cells takes as long as with the centroids in the near ones.
func cellsFor(n int) int { return max(1, min(n, int(math.Sqrt(float64(n)*nearCells)))) }

// clusters are centroids in two layers: a point finds its own through the nearest cells, which costs some √n
// comparisons instead of n.
type clusters struct {
	stride int
	cells  []float32 // the centroid of each cell
	starts []uint32  // cell i has the centroids from starts[i] up to starts[i+1]
	all    []float32 // the centroids, cell by cell
}

func (c *clusters) len() int { return len(c.all) / c.stride }

// points are the rows to cluster: unit vectors, padded to stride.
type points struct {
	stride int
	all    []float32
}

func (p points) len() int           { return len(p.all) / p.stride }
func (p points) at(i int) []float32 { return p.all[i*p.stride : (i+1)*p.stride] }

// parallel does work on n items in parts, on as many threads as Go may use. Results must depend on the item alone.
func parallel(ctx context.Context, n int, work func(from, to int)) error {
	const part = 1 << 10
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(part)) - part
				if from >= n {
					return
				}
				work(from, min(from+part, n))
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// divide makes about n clusters of the points that learn names: first cells, then each cell's share of the n.
func divide(ctx context.Context, p points, learn []int, n int, r *rand.Rand) (*clusters, error) {
	cells, err := kmeans(ctx, p, learn, min(cellsFor(n), len(learn)), r)
	if err != nil {
		return nil, err
	}
	c := &clusters{stride: p.stride, cells: cells, starts: []uint32{0}}
	home := make([]int, len(learn))
	err = parallel(ctx, len(learn), func(from, to int) {
		scores := make([]float32, len(cells)/p.stride)
		for i := from; i < to; i++ {
			home[i], _ = nearest(p.at(learn[i]), cells, scores)
		}
	})
	if err != nil {
		return nil, err
	}
	members := make([][]int, len(cells)/p.stride)
	for i, cell := range home {
		members[cell] = append(members[cell], learn[i])
	}
	for _, m := range members {
		share := max(1, int(math.Round(float64(n)*float64(len(m))/float64(len(learn)))))
		if len(m) > 0 {
			centroids, err := kmeans(ctx, p, m, min(share, len(m)), r)
			if err != nil {
				return nil, err
			}
			c.all = append(c.all, centroids...)
		}
		c.starts = append(c.starts, uint32(len(c.all)/p.stride))
	}
	for range settling {
		if err := c.settle(ctx, p, learn); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// settle moves each centroid to the middle of the points that are nearest to it, and each cell's to that of all points
// of its centroids.
func (c *clusters) settle(ctx context.Context, p points, learn []int) error {
	home, err := c.assign(ctx, p)
	if err != nil {
		return err
	}
	sums := make([]float64, len(c.all))
	for _, i := range learn {
		add(sums[home[i]*p.stride:(home[i]+1)*p.stride], p.at(i))
	}
	means(c.all, sums, p.stride)
	ofCells := make([]float64, len(c.cells))
	for cell := range len(c.starts) - 1 {
		sum := ofCells[cell*p.stride : (cell+1)*p.stride]
		for at := int(c.starts[cell]) * p.stride; at < int(c.starts[cell+1])*p.stride; at += p.stride {
			for i, value := range sums[at : at+p.stride] {
				sum[i] += value
			}
		}
	}
	means(c.cells, ofCells, p.stride)
	return nil
}

// assign is the centroid of every point.
func (c *clusters) assign(ctx context.Context, p points) ([]int, error) {
	home := make([]int, p.len())
	err := parallel(ctx, p.len(), func(from, to int) {
		scores := make([]float32, c.len())
		cells, near := make([]float32, len(c.starts)-1), make(topk.Top, 0, min(nearCells, len(c.starts)-1))
		for i := from; i < to; i++ {
			dot.Rows(cells, p.at(i), c.cells)
			near = near[:0]
			for cell, similarity := range cells {
				if similarity > near.Worst() {
					near = near.Offer(topk.New(cell, similarity))
				}
			}
			best := float32(math.Inf(-1))
			for _, cell := range near {
				first, last := int(c.starts[cell.Row()]), int(c.starts[cell.Row()+1])
				if first == last {
					continue
				}
				at, similarity := nearest(p.at(i), c.all[first*c.stride:last*c.stride], scores[:last-first])
				if similarity > best {
					home[i], best = first+at, similarity
				}
			}
		}
	})
	return home, err
}

// kmeans is k centroids of the members, learnt from a sample of them by Lloyd's rounds on the sphere: assign each to
// the centroid of the greatest cosine, and move each centroid to the direction of its members' mean.
func kmeans(ctx context.Context, p points, members []int, k int, r *rand.Rand) ([]float32, error) {
	sample := members
	if most := k * pointsPerCentroid; len(members) > most {
		sample = make([]int, most)
		for i := range sample {
			sample[i] = members[r.IntN(len(members))]
		}
	}
	centroids := make([]float32, k*p.stride)
	for i, at := range r.Perm(len(sample))[:k] {
		copy(centroids[i*p.stride:], p.at(sample[at]))
	}
	home := make([]int, len(sample))
	for range rounds {
		err := parallel(ctx, len(sample), func(from, to int) {
			scores := make([]float32, k)
			for i := from; i < to; i++ {
				home[i], _ = nearest(p.at(sample[i]), centroids, scores)
			}
		})
		if err != nil {
			return nil, err
		}
		sums := make([]float64, len(centroids))
		for i, centroid := range home {
			add(sums[centroid*p.stride:(centroid+1)*p.stride], p.at(sample[i]))
		}
		means(centroids, sums, p.stride)
	}
	return centroids, nil
}

// nearest is the row of the greatest product with q. It needs room for a score of each.
func nearest(q, rows, scores []float32) (at int, similarity float32) {
	dot.Rows(scores, q, rows)
	similarity = float32(math.Inf(-1))
	for i, score := range scores {
		if score > similarity {
			at, similarity = i, score
		}
	}
	return at, similarity
}

func add(sum []float64, x []float32) {
	for i, value := range x {
		sum[i] += float64(value)
	}
}

// means moves each centroid to the direction of its sum. One that nobody chose, or whose members cancel each other
// out, stays where it is.
func means(centroids []float32, sums []float64, stride int) {
	for at := 0; at < len(sums); at += stride {
		var square float64
		for _, value := range sums[at : at+stride] {
			square += value * value
		}
		if square < 1e-12 {
			continue
		}
		for i, value := range sums[at : at+stride] {
			centroids[at+i] = float32(value / math.Sqrt(square))
		}
	}
}
