package clusters

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/word2vec/dot"
)

// around are n unit vectors of dim values, which point about the way of one of some directions: i%directions.
func around(n, dim, directions int) Points {
	r := rand.New(rand.NewPCG(1, 2))
	p := Points{Stride: dot.Padded(dim, dot.Lane)}
	p.All = make([]float32, n*p.Stride)
	for i := range n {
		unit := p.At(i)
		for j := range dim {
			unit[j] = float32(r.NormFloat64() / 50)
		}
		unit[i%directions]++
		length := float32(math.Sqrt(float64(dot.One(unit, unit))))
		for j := range unit {
			unit[j] /= length
		}
	}
	return p
}

func every(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestPointsOfOneDirectionShareTheirCentroids(t *testing.T) {
	const directions, dim = 5, 12
	p := around(1000, dim, directions)
	c, err := Divide(t.Context(), p, every(p.Len()), 40, rand.New(rand.NewPCG(3, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Len() < 20 || c.Len() > 60 || int(c.Starts[len(c.Starts)-1]) != c.Len() || len(c.Cells) != (len(c.Starts)-1)*c.Stride {
		t.Errorf("%d centroids in %d cells that start at %v: want about 40", c.Len(), len(c.Cells)/c.Stride, c.Starts)
	}
	home, err := c.Assign(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	direction := map[int]int{} // of a centroid
	for i, centroid := range home {
		if of, seen := direction[centroid]; seen && of != i%directions {
			t.Fatalf("centroid %d has points of directions %d and %d", centroid, of, i%directions)
		}
		direction[centroid] = i % directions
		if cosine := dot.One(p.At(i), c.All[centroid*c.Stride:(centroid+1)*c.Stride]); cosine < .97 {
			t.Fatalf("point %d has a cosine of %v with its centroid: want nearly 1", i, cosine)
		}
	}
}

func TestCentroidsHaveLengthOne(t *testing.T) {
	p := around(300, 9, 4)
	// Opposite points, whose mean has no direction.
	for i := range p.Len() / 2 {
		for j, value := range p.At(2 * i) {
			p.At(2*i + 1)[j] = -value
		}
	}
	for _, n := range []int{1, 7, 300} {
		c, err := Divide(t.Context(), p, every(p.Len()), n, rand.New(rand.NewPCG(3, 4)))
		if err != nil {
			t.Fatal(err)
		}
		for _, all := range [][]float32{c.All, c.Cells} {
			for at := 0; at < len(all); at += c.Stride {
				if square := dot.One(all[at:at+c.Stride], all[at:at+c.Stride]); !(math.Abs(float64(square)-1) < 1e-5) {
					t.Errorf("%d clusters: the square of a centroid's length is %v: want 1", n, square)
				}
			}
		}
	}
}

func TestMean(t *testing.T) {
	p := Points{Stride: 2, All: []float32{1, 0, 0, 1, 0, -1, .6, .8}}
	if diff := cmp.Diff([]float32{.4, .2}, p.Mean()); diff != "" {
		t.Error(diff)
	}
}

func TestDivideEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := around(100, 8, 4)
	if _, err := Divide(ctx, p, every(p.Len()), 10, rand.New(rand.NewPCG(3, 4))); !errors.Is(err, context.Canceled) {
		t.Errorf("%v: want the context's error", err)
	}
}
