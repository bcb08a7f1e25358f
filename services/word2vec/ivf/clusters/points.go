package clusters

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Points are unit vectors, one behind the other, each padded with zeros to Stride, a length that package dot takes.
type Points struct {
	Stride int
	All    []float32
}

// Len is the number of points.
func (p Points) Len() int { return len(p.All) / p.Stride }

// At is point i.
func (p Points) At(i int) []float32 { return p.All[i*p.Stride : (i+1)*p.Stride] }

// Mean is the middle of the points, of which there is one at least.
func (p Points) Mean() []float32 {
	sum := make([]float64, p.Stride)
	for i := range p.Len() {
		add(sum, p.At(i))
	}
	middle := make([]float32, p.Stride)
	for i := range middle {
		middle[i] = float32(sum[i] / float64(p.Len()))
	}
	return middle
}

func add(sum []float64, x []float32) {
	for i, value := range x {
		sum[i] += float64(value)
	}
}

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
