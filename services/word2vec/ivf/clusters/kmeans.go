package clusters

import (
	"context"
	"math"
	"math/rand/v2"

	"homefeed/services/word2vec/dot"
)

const (
	// pointsPerCentroid is how many points a centroid is learnt from: more cost time and move it little.
	pointsPerCentroid = 128
	rounds            = 8 // of k-means on that sample
)

// kmeans is k centroids of the members, learnt from a sample of them by Lloyd's rounds on the sphere: assign each to
// the centroid of the greatest cosine, and move each centroid to the direction of its members' mean.
func kmeans(ctx context.Context, p Points, members []int, k int, r *rand.Rand) ([]float32, error) {
	sample := members
	if most := k * pointsPerCentroid; len(members) > most {
		sample = make([]int, most)
		for i := range sample {
			sample[i] = members[r.IntN(len(members))]
		}
	}
	centroids := make([]float32, k*p.Stride)
	for i, at := range r.Perm(len(sample))[:k] {
		copy(centroids[i*p.Stride:], p.At(sample[at]))
	}
	home := make([]int, len(sample))
	for range rounds {
		err := parallel(ctx, len(sample), func(from, to int) {
			scores := make([]float32, k)
			for i := from; i < to; i++ {
				home[i], _ = nearest(p.At(sample[i]), centroids, scores)
			}
		})
		if err != nil {
			return nil, err
		}
		sums := make([]float64, len(centroids))
		for i, centroid := range home {
			add(sums[centroid*p.Stride:(centroid+1)*p.Stride], p.At(sample[i]))
		}
		means(centroids, sums, p.Stride)
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
