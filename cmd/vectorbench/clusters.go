//go:build unix

package main

import (
	"math"
	"math/rand/v2"
)

// clusters are made-up vectors: directions around random centres, each centre as likely as any other.
type clusters struct {
	dim     int
	noise   float64 // deviation of each value from the centre's, whose own are 1; at 1, two of a cluster have a cosine of about 0.5
	centres []float32
}

func newClusters(n, dim int, noise float64, r *rand.Rand) *clusters {
	c := &clusters{dim: dim, noise: noise, centres: make([]float32, n*dim)}
	for i := range c.centres {
		c.centres[i] = float32(r.NormFloat64())
	}
	return c
}

// draw is n new directions, one behind the other.
func (c *clusters) draw(n int, r *rand.Rand) []float32 {
	all := make([]float32, n*c.dim)
	for i := range n {
		row := all[i*c.dim : (i+1)*c.dim]
		centre := c.centres[r.IntN(len(c.centres)/c.dim)*c.dim:]
		var square float64
		for j := range row {
			row[j] = centre[j] + float32(c.noise*r.NormFloat64())
			square += float64(row[j]) * float64(row[j])
		}
		for j := range row {
			row[j] /= float32(math.Sqrt(square))
		}
	}
	return all
}
