// Package word2vec answers what is near what, by the cosine of vectors learnt from playlists: a model held in
// memory and scanned exactly, and Server and Client to ask it over gRPC.
package word2vec

import (
	"context"
	"math"
	"slices"

	"homefeed/services/word2vec/vectors"
	"homefeed/shelves/shelf"
)

// Model is vectors under a version. It never changes.
type Model struct {
	vectors *vectors.Vectors
	version string
}

// NewModel makes a model whose version is the digest of its content: equal content, equal version.
func NewModel(v *vectors.Vectors) *Model { return &Model{vectors: v, version: v.Digest()} }

// LoadModel reads a model from a file of vectors; see vectors.Load.
func LoadModel(path string) (*Model, error) {
	v, err := vectors.Load(path)
	if err != nil {
		return nil, err
	}
	return NewModel(v), nil
}

// Version tells the model from others.
func (m *Model) Version() string { return m.version }

// Tracks is how many tracks the model knows, Dim how many values each vector has.
func (m *Model) Tracks() int { return m.vectors.Len() }

// Dim is the number of values of a vector.
func (m *Model) Dim() int { return m.vectors.Dim() }

// Vector is a track's vector, of length 1; it must not be written to.
func (m *Model) Vector(track string) (vector []float32, ok bool) {
	i, ok := m.vectors.Find(track)
	if !ok {
		return nil, false
	}
	return m.vectors.At(i), true
}

// Nearest is the k tracks nearest to the weighted mean of the seeds, best first, without the seeds and without
// exclude; where two are as near, the one that the model holds first. A weight of 0 means 1; a negative one turns
// away from its seed. Seeds that the model lacks are returned in unknown; with none known, or seeds that cancel each
// other out, there are no neighbours. The only error is the context's, which a long scan looks at as it goes.
func (m *Model) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) (
	near []shelf.Neighbour, unknown []string, err error) {
	query, skip, unknown := m.query(seeds)
	if query == nil || k <= 0 {
		return nil, unknown, ctx.Err()
	}
	for _, track := range exclude {
		if i, ok := m.vectors.Find(track); ok {
			skip = append(skip, i)
		}
	}
	slices.Sort(skip)
	best, err := m.scan(ctx, query, min(k, m.Tracks()), skip)
	if err != nil {
		return nil, unknown, err
	}
	near = make([]shelf.Neighbour, len(best))
	for i, c := range best {
		near[i] = shelf.Neighbour{Track: m.vectors.ID(c.track), Similarity: min(max(c.similarity, -1), 1)}
	}
	return near, unknown, nil
}

// query is the direction of the seeds' weighted mean, nil if there is none, and where the seeds are in the model.
func (m *Model) query(seeds []shelf.Seed) (query []float32, at []int, unknown []string) {
	sum := make([]float64, m.Dim())
	for _, seed := range seeds {
		i, ok := m.vectors.Find(seed.Track)
		if !ok {
			unknown = append(unknown, seed.Track)
			continue
		}
		at = append(at, i)
		weight := float64(seed.Weight)
		if weight == 0 {
			weight = 1
		}
		for j, value := range m.vectors.At(i) {
			sum[j] += weight * float64(value)
		}
	}
	var length float64
	for _, value := range sum {
		length += value * value
	}
	length = math.Sqrt(length)
	if length == 0 || math.IsInf(length, 0) {
		return nil, at, unknown
	}
	query = make([]float32, len(sum))
	for j, value := range sum {
		query[j] = float32(value / length)
	}
	return query, at, unknown
}

// lookEvery is after how many tracks a scan looks whether it is still wanted: under a millisecond at dimension 64.
const lookEvery = 16 << 10

// scan compares the query with every track but those in skip, which is sorted, and returns the k nearest.
func (m *Model) scan(ctx context.Context, query []float32, k int, skip []int) ([]candidate, error) {
	best := make(top, 0, k)
	for i := range m.Tracks() {
		if i%lookEvery == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		skipped := false
		for len(skip) > 0 && skip[0] == i { // a track may be named twice
			skip, skipped = skip[1:], true
		}
		if !skipped {
			best = best.offer(candidate{i, vectors.Dot(query, m.vectors.At(i))})
		}
	}
	slices.SortFunc(best, func(a, b candidate) int {
		if a.worse(b) {
			return 1
		}
		return -1
	})
	return best, nil
}
