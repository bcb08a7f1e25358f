// Package vectors holds a vector for each track, and reads and writes the formats in which word2vec keeps them.
package vectors

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"homefeed/pipeline/event"
)

// Bounds of a set of vectors.
const (
	MaxTracks = 50_000_000
	MaxDim    = 4_096
	maxID     = 128 // bytes, as in event.Event.Object
)

// Vectors are unit vectors of one dimension, in one block of memory. They don't change once made.
type Vectors struct {
	ids   []string
	dim   int
	data  []float32 // len(ids) × dim
	index map[string]int
}

// New takes the vectors of the ids, one behind the other in data, and scales each to length 1 in place. It owns
// both slices from then on. The error names the first vector that can't be used: an id that is no track's id or
// comes twice, a value that is no finite number, or a length of 0, which is near nothing.
func New(ids []string, dim int, data []float32) (*Vectors, error) {
	if dim < 1 || dim > MaxDim {
		return nil, fmt.Errorf("dimension %d: want 1 to %d", dim, MaxDim)
	}
	if len(ids) == 0 {
		return nil, errors.New("no vectors: want at least one")
	}
	if len(data) != len(ids)*dim {
		return nil, fmt.Errorf("%d values: want %d, for %d vectors of dimension %d", len(data), len(ids)*dim, len(ids), dim)
	}
	v := &Vectors{ids: ids, dim: dim, data: data, index: make(map[string]int, len(ids))}
	for i, id := range ids {
		if err := v.add(i, id); err != nil {
			return nil, fmt.Errorf("vector %d: %w", i+1, err)
		}
	}
	return v, nil
}

func (v *Vectors) add(i int, id string) error {
	if !event.ValidObject(id) {
		return fmt.Errorf("id %.140q: want 1–128 of A–Z a–z 0–9 . _ : -", id)
	}
	if first, twice := v.index[id]; twice {
		return fmt.Errorf("id %q is also that of vector %d: want each once", id, first+1)
	}
	v.index[id] = i
	if err := normalise(v.At(i)); err != nil {
		return fmt.Errorf("id %q: %w", id, err)
	}
	return nil
}

// normalise scales x to length 1. Sums in float64 can't overflow: a float32 squared is below 1.2e77.
func normalise(x []float32) error {
	var sum float64
	for i, value := range x {
		f := float64(value)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("value %d is %v: want a finite number", i+1, value)
		}
		sum += f * f
	}
	if sum == 0 {
		return errors.New("all values are 0: want a direction, or no vector")
	}
	if math.Abs(sum-1) < 1e-6 {
		return nil // as near as float32 gets; what was saved comes back bit by bit
	}
	scale := 1 / math.Sqrt(sum)
	for i := range x {
		x[i] = float32(float64(x[i]) * scale)
	}
	return nil
}

// Len is the number of vectors, Dim the number of values of each.
func (v *Vectors) Len() int { return len(v.ids) }

// Dim is the number of values of a vector.
func (v *Vectors) Dim() int { return v.dim }

// ID is the track of vector i.
func (v *Vectors) ID(i int) string { return v.ids[i] }

// At is vector i. It must not be written to.
func (v *Vectors) At(i int) []float32 { return v.data[i*v.dim : (i+1)*v.dim : (i+1)*v.dim] }

// All is every vector, one behind the other. It must not be written to.
func (v *Vectors) All() []float32 { return v.data }

// Find is the position of a track's vector.
func (v *Vectors) Find(id string) (i int, ok bool) {
	i, ok = v.index[id]
	return i, ok
}

// Digest tells this content from any other: 16 hex digits of a SHA-256 over dimension, ids and values.
func (v *Vectors) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d\n", len(v.ids), v.dim)
	buf := make([]byte, 4*v.dim)
	for i, id := range v.ids {
		fmt.Fprintf(h, "%s\n", id)
		for j, value := range v.At(i) {
			binary.LittleEndian.PutUint32(buf[4*j:], math.Float32bits(value))
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
