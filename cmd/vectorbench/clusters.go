//go:build unix

package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// world draws vectors: it sets x to a new one, of any length.
type world func(x []float32, r *rand.Rand)

// flat is clusters around random centres, each as likely as any other. The deviation of a centre's values is 1, and of
// a vector's from its centre's noise: at 1, two of a cluster have a cosine of about 0.5.
func flat(clusters, dim int, noise float64, r *rand.Rand) world {
	centres := make([]float32, clusters*dim)
	gaussian(centres, 1, r)
	return func(x []float32, r *rand.Rand) {
		at := r.IntN(clusters) * dim
		gaussian(x, noise, r)
		add(x, centres[at:at+dim], 1)
	}
}

// Shares of a made-up track's direction. A track is its genre, its artist and something of its own; with these, two
// tracks of one artist have a cosine of about 0.7, two of one genre 0.3, and others none.
const (
	ofGenre  = .55
	ofArtist = .63
	ofTrack  = .55

	tracksPerArtist = 50
	artistsPerGenre = 200
)

// music is clusters within clusters: artists around genres. Artists have tracks in proportion to 1/√rank, so that
// clusters are of many sizes.
func music(tracks, dim int, r *rand.Rand) world {
	n := max(1, tracks/tracksPerArtist)
	artists, upTo := make([]float32, n*dim), make([]float64, n)
	genre := make([]float32, dim)
	var sum float64
	for i := range n {
		if i%artistsPerGenre == 0 {
			gaussian(genre, 1, r)
		}
		artist := artists[i*dim : (i+1)*dim]
		gaussian(artist, ofArtist, r)
		add(artist, genre, ofGenre)
		sum += 1 / math.Sqrt(float64(1+r.IntN(n)))
		upTo[i] = sum
	}
	return func(x []float32, r *rand.Rand) {
		at, _ := slices.BinarySearch(upTo, r.Float64()*sum)
		gaussian(x, ofTrack, r)
		add(x, artists[at*dim:(at+1)*dim], 1)
	}
}

// draw is n new vectors of length 1, one behind the other.
func (w world) draw(n, dim int, r *rand.Rand) []float32 {
	all := make([]float32, n*dim)
	for i := range n {
		x := all[i*dim : (i+1)*dim]
		w(x, r)
		var square float64
		for _, value := range x {
			square += float64(value) * float64(value)
		}
		for j := range x {
			x[j] /= float32(math.Sqrt(square))
		}
	}
	return all
}

func gaussian(x []float32, deviation float64, r *rand.Rand) {
	for i := range x {
		x[i] = float32(deviation * r.NormFloat64())
	}
}

func add(x, y []float32, times float32) {
	for i := range x {
		x[i] += times * y[i]
	}
}
