package main

import (
	"math"
	"math/rand/v2"
)

// Shares of a made-up track's direction. A track is its genre, its artist and something of its own; with these, two
// tracks of one artist have a cosine of about .7, two of one genre .3, and others none.
const (
	ofGenre  = .55
	ofArtist = .63
	ofTrack  = .55

	tracksPerArtist = 50
	artistsPerGenre = 200
)

// clusters are made-up vectors of tracks: directions around those of artists, which lie around those of genres.
// Artists have tracks in proportion to 1/√rank, so that clusters are of many sizes.
type clusters struct {
	dim     int
	artists []float32 // each the direction of the artist within its genre
	upTo    []float64 // the weight of the artists so far
}

func newClusters(tracks, dim int, r *rand.Rand) *clusters {
	n := max(1, tracks/tracksPerArtist)
	c := &clusters{dim: dim, artists: make([]float32, n*dim), upTo: make([]float64, n)}
	genre := make([]float32, dim)
	var sum float64
	for i := range n {
		if i%artistsPerGenre == 0 {
			gaussian(genre, 1, r)
		}
		artist := c.artists[i*dim : (i+1)*dim]
		gaussian(artist, ofArtist, r)
		for j := range artist {
			artist[j] += ofGenre * genre[j]
		}
		sum += 1 / math.Sqrt(float64(1+r.IntN(n)))
		c.upTo[i] = sum
	}
	return c
}

// draw sets x to the direction of a new track.
func (c *clusters) draw(x []float32, r *rand.Rand) {
	at := r.Float64() * c.upTo[len(c.upTo)-1]
	low, high := 0, len(c.upTo)-1
	for low < high {
		if mid := (low + high) / 2; c.upTo[mid] < at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	gaussian(x, ofTrack, r)
	var square float64
	for j, value := range c.artists[low*c.dim : (low+1)*c.dim] {
		x[j] += value
		square += float64(x[j]) * float64(x[j])
	}
	for j := range x {
		x[j] /= float32(math.Sqrt(square))
	}
}

func gaussian(x []float32, scale float64, r *rand.Rand) {
	for i := range x {
		x[i] = float32(scale * r.NormFloat64())
	}
}
