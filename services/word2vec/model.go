// Package word2vec answers what is near what, by the cosine of vectors learnt from playlists: a model that is searched
// in memory, and Server and Client to ask it over gRPC.
package word2vec

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
	"homefeed/shelves/shelf"
)

// Model is vectors under a version. It never changes. Its memory may be a mapped file, which is given back when Close
// has been called and the last answer is made.
type Model struct {
	content *modelfile.Content
	users   atomic.Int64 // answers being made, and 1 until Close
}

func newModel(c *modelfile.Content) *Model {
	m := &Model{content: c}
	m.users.Store(1)
	return m
}

// NewModel makes a model whose version is the digest of its content: equal content, equal version. It compares all
// tracks in every search, so it is for few; modelfile.New makes one for many.
func NewModel(v *vectors.Vectors) *Model { return newModel(modelfile.Scanned(v)) }

// LoadModel opens a model, or reads a file of vectors; see modelfile.Load.
func LoadModel(path string) (*Model, error) {
	c, err := modelfile.Load(path)
	if err != nil {
		return nil, err
	}
	return newModel(c), nil
}

// acquire keeps the memory until release. It fails once the model is closed and the last user is gone.
func (m *Model) acquire() bool {
	for {
		n := m.users.Load()
		if n == 0 {
			return false
		}
		if m.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release ends what acquire began. The last one gives the memory back, and returns the error of that.
func (m *Model) release() error {
	if m.users.Add(-1) > 0 {
		return nil
	}
	return m.content.Close()
}

// Close gives the memory back: at once, or when the last answer in progress is made. Call it once, and use the model
// no more.
func (m *Model) Close() error { return m.release() }

// Version tells the model from others.
func (m *Model) Version() string { return m.content.Version }

// Tracks is how many tracks the model knows, Dim how many values each vector has.
func (m *Model) Tracks() int { return m.content.Len() }

// Dim is the number of values of a vector.
func (m *Model) Dim() int { return m.content.Dim }

// Vector is a copy of a track's vector, of length 1.
func (m *Model) Vector(track string) (vector []float32, ok bool) {
	row, ok := m.content.Find(track)
	if !ok {
		return nil, false
	}
	return slices.Clone(m.content.Row(row)), true
}

// Similarity is the cosine of two tracks, if the model has both.
func (m *Model) Similarity(a, b string) (cosine float32, ok bool) {
	i, okA := m.content.Find(a)
	j, okB := m.content.Find(b)
	if !okA || !okB {
		return 0, false
	}
	return within(dot.One(m.content.Row(i), m.content.Row(j))), true
}

// within keeps rounding from making a cosine of more than 1.
func within(cosine float32) float32 { return min(max(cosine, -1), 1) }

// Query asks for the K tracks nearest to a direction.
type Query struct {
	Seeds  []shelf.Seed // the direction of their weighted mean; see shelf.Word2Vec
	Vector []float32    // or this one, of the model's dimension and any length but 0
	K      int
	// What may not be among the neighbours: these tracks, and those that lack a label of With or have one of Without.
	Exclude       []string
	With, Without []string
}

// errVector is of a query whose vector has no direction among this model's.
var errVector = errors.New("vector has no direction in this model")

// Nearest is the k tracks nearest to the query's direction, best first, without the seeds and without what the query
// excludes; where two are as near, the one that the model holds first. Filters cost no neighbours: the search goes on
// until there are k, or no more. A weight of 0 means 1; a negative one turns away from its seed. Seeds that the model
// lacks are returned in unknown; with none known, or seeds that cancel each other out, there are no neighbours. The
// only errors are that of a wrong vector and the context's, which a long search looks at as it goes.
func (m *Model) Nearest(ctx context.Context, q Query) (near []shelf.Neighbour, unknown []string, err error) {
	direction, skip, unknown := m.direction(q.Seeds)
	if q.Vector != nil {
		if direction = m.unit(q.Vector); direction == nil {
			return nil, unknown, errVector
		}
	}
	if direction == nil || q.K <= 0 {
		return nil, unknown, ctx.Err()
	}
	for _, track := range q.Exclude {
		if row, ok := m.content.Find(track); ok {
			skip = append(skip, uint32(row))
		}
	}
	slices.Sort(skip)
	search := ivf.Query{Vector: direction, K: q.K, Skip: skip}
	if len(q.With) > 0 || len(q.Without) > 0 {
		search.Accept = m.content.Accept(q.With, q.Without)
	}
	hits, err := m.content.Search(ctx, search)
	if err != nil {
		return nil, unknown, err
	}
	near = make([]shelf.Neighbour, len(hits))
	for i, hit := range hits {
		near[i] = shelf.Neighbour{Track: m.content.ID(hit.Row), Similarity: within(hit.Similarity)}
	}
	return near, unknown, nil
}

// direction is that of the seeds' weighted mean, nil if there is none, and where the seeds are in the model.
func (m *Model) direction(seeds []shelf.Seed) (direction []float32, at []uint32, unknown []string) {
	sum := make([]float64, m.Dim())
	for _, seed := range seeds {
		row, ok := m.content.Find(seed.Track)
		if !ok {
			unknown = append(unknown, seed.Track)
			continue
		}
		at = append(at, uint32(row))
		weight := float64(seed.Weight)
		if weight == 0 {
			weight = 1
		}
		for j, value := range m.content.Row(row) {
			sum[j] += weight * float64(value)
		}
	}
	return scaled(sum), at, unknown
}

// unit is the direction of a vector, nil if it has none or is not of the model's dimension.
func (m *Model) unit(vector []float32) []float32 {
	if len(vector) != m.Dim() {
		return nil
	}
	sum := make([]float64, len(vector))
	for i, value := range vector {
		sum[i] = float64(value)
	}
	return scaled(sum)
}

// scaled is x at length 1, nil if that can't be.
func scaled(x []float64) []float32 {
	var square float64
	for _, value := range x {
		square += value * value
	}
	length := math.Sqrt(square)
	if !(length > 0) || math.IsInf(length, 0) {
		return nil
	}
	unit := make([]float32, len(x))
	for i, value := range x {
		unit[i] = float32(value / length)
	}
	return unit
}
