// Package clusters divides unit vectors among centroids that point the same way, by k-means on the sphere.
package clusters

import (
	"context"
	"math"
	"math/rand/v2"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf/topk"
)

const (
	// settling is the rounds with all points after the cells were divided one by one, which mends their borders.
	settling = 2
	// nearCells is into how many cells a point looks for its centroid.
	nearCells = 10
)

// cellsFor is into how many cells n centroids are divided. With √(n·nearCells) of them, comparing with all of the
// cells takes as long as with the centroids in the near ones.
func cellsFor(n int) int { return max(1, min(n, int(math.Sqrt(float64(n)*nearCells)))) }

// Clusters are centroids in two layers: a point finds its own through the nearest cells, which costs some √n
// comparisons instead of n.
type Clusters struct {
	Stride int
	Cells  []float32 // the centroid of each cell
	Starts []uint32  // cell i has the centroids from Starts[i] up to Starts[i+1]
	All    []float32 // the centroids, cell by cell
}

// Len is the number of centroids.
func (c *Clusters) Len() int { return len(c.All) / c.Stride }

// Divide makes about n clusters of the points that learn names: first cells, then each cell's share of the n. The same
// points and generator give the same, on any number of threads. It fails only when ctx ends.
func Divide(ctx context.Context, p Points, learn []int, n int, r *rand.Rand) (*Clusters, error) {
	cells, err := kmeans(ctx, p, learn, min(cellsFor(n), len(learn)), r)
	if err != nil {
		return nil, err
	}
	c := &Clusters{Stride: p.Stride, Cells: cells, Starts: []uint32{0}}
	home := make([]int, len(learn))
	err = parallel(ctx, len(learn), func(from, to int) {
		scores := make([]float32, len(cells)/p.Stride)
		for i := from; i < to; i++ {
			home[i], _ = nearest(p.At(learn[i]), cells, scores)
		}
	})
	if err != nil {
		return nil, err
	}
	members := make([][]int, len(cells)/p.Stride)
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
			c.All = append(c.All, centroids...)
		}
		c.Starts = append(c.Starts, uint32(len(c.All)/p.Stride))
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
func (c *Clusters) settle(ctx context.Context, p Points, learn []int) error {
	home, err := c.Assign(ctx, p)
	if err != nil {
		return err
	}
	sums := make([]float64, len(c.All))
	for _, i := range learn {
		add(sums[home[i]*p.Stride:(home[i]+1)*p.Stride], p.At(i))
	}
	means(c.All, sums, p.Stride)
	ofCells := make([]float64, len(c.Cells))
	for cell := range len(c.Starts) - 1 {
		sum := ofCells[cell*p.Stride : (cell+1)*p.Stride]
		for at := int(c.Starts[cell]) * p.Stride; at < int(c.Starts[cell+1])*p.Stride; at += p.Stride {
			for i, value := range sums[at : at+p.Stride] {
				sum[i] += value
			}
		}
	}
	means(c.Cells, ofCells, p.Stride)
	return nil
}

// Assign is the centroid of every point. It fails only when ctx ends.
func (c *Clusters) Assign(ctx context.Context, p Points) ([]int, error) {
	home := make([]int, p.Len())
	err := parallel(ctx, p.Len(), func(from, to int) {
		scores := make([]float32, c.Len())
		cells, near := make([]float32, len(c.Starts)-1), make(topk.Top, 0, min(nearCells, len(c.Starts)-1))
		for i := from; i < to; i++ {
			dot.Rows(cells, p.At(i), c.Cells)
			near = near[:0]
			for cell, similarity := range cells {
				if similarity > near.Worst() {
					near = near.Offer(topk.New(cell, similarity))
				}
			}
			best := float32(math.Inf(-1))
			for _, cell := range near {
				first, last := int(c.Starts[cell.Row()]), int(c.Starts[cell.Row()+1])
				if first == last {
					continue
				}
				at, similarity := nearest(p.At(i), c.All[first*c.Stride:last*c.Stride], scores[:last-first])
				if similarity > best {
					home[i], best = first+at, similarity
				}
			}
		}
	})
	return home, err
}
