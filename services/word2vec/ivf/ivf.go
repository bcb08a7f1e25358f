// Package ivf finds the rows nearest to a direction among millions. Rows that point the same way lie together in a
// list with a centroid (an inverted file, "IVF"); a search ranks the centroids, and compares the query with the rows
// of the best lists only. How many that takes for a wanted recall is found out when the index is built, by exact
// answers, and kept with it. Few rows need no lists: they are all compared, and the answer is exact.
package ivf

import (
	"fmt"
	"math"
	"sync"

	"homefeed/services/word2vec/dot"
)

// ExactBelow is how many rows are searched without lists: scanning them takes as long as a remote call.
const ExactBelow = 50_000

// Index is rows of unit vectors in the order of their lists. Its fields may point into a mapped file. It must not be
// changed, nor copied once it is in use, and is safe for concurrent use.
type Index struct {
	Dim       int
	Vectors   []float32 // row by row, each padded to RowLen(Dim)
	Centroids []float32 // list by list, padded as Vectors; empty: there is one list, which is scanned whole
	Starts    []uint32  // list i is the rows from Starts[i] up to Starts[i+1]
	Probes    Probes
	// Codes are the rows again, in a quarter of the space, to find candidates by; Vectors then rank those. Centroids
	// have them, too, so that all of those stay in a cache. Empty: Vectors and Centroids are compared.
	Codes          []int8    // row by row, each padded to CodeLen(Dim)
	Scales         []float32 // of each row's codes
	CentroidCodes  []int8
	CentroidScales []float32

	scratch sync.Pool
}

// RowLen is how many float32 a vector takes, CodeLen how many int8 its codes take.
func RowLen(dim int) int { return dot.Padded(dim, dot.Lane) }

// CodeLen is how many int8 a vector's codes take.
func CodeLen(dim int) int { return dot.Padded(dim, dot.CodeLane) }

// Probes is how many lists a search looks into to find most of the 10, the 100 and the 1,000 nearest.
type Probes [3]uint32

// of is the lists for the k nearest: on a straight line between the tuned counts, and beyond them, over log k.
func (p Probes) of(k float64) int {
	x := math.Log10(max(k, 10)) - 1 // 0, 1 and 2 at the tuned ones
	i := min(int(x), 1)
	low, high := math.Log(float64(max(p[i], 1))), math.Log(float64(max(p[i+1], 1)))
	return int(math.Ceil(math.Exp(low+(x-float64(i))*(high-low)) - 1e-9))
}

// Len is the number of rows.
func (x *Index) Len() int {
	if len(x.Starts) == 0 {
		return 0
	}
	return int(x.Starts[len(x.Starts)-1])
}

// Lists is the number of lists.
func (x *Index) Lists() int { return max(len(x.Starts)-1, 0) }

// Row is the vector of a row, without padding. It must not be written to.
func (x *Index) Row(i int) []float32 {
	at := i * RowLen(x.Dim)
	return x.Vectors[at : at+x.Dim : at+x.Dim]
}

// Validate says what is wrong with an index that was not made by Build, so that no search of it can fail: parts that
// don't fit each other, rows that are not of length 1, and numbers that are none.
func (x *Index) Validate() error {
	rows, lists := x.Len(), x.Lists()
	switch {
	case x.Dim < 1 || rows < 1 || lists < 1:
		return fmt.Errorf("%d rows of dimension %d in %d lists: want at least one of each", rows, x.Dim, lists)
	case len(x.Vectors) != rows*RowLen(x.Dim):
		return fmt.Errorf("%d values: want %d, for %d rows of dimension %d", len(x.Vectors), rows*RowLen(x.Dim), rows, x.Dim)
	case len(x.Codes) > 0 && (len(x.Codes) != rows*CodeLen(x.Dim) || len(x.Scales) != rows):
		return fmt.Errorf("%d codes and %d scales: want %d and %d", len(x.Codes), len(x.Scales), rows*CodeLen(x.Dim), rows)
	case len(x.CentroidCodes) > 0 && (len(x.Codes) == 0 || len(x.CentroidCodes) != lists*CodeLen(x.Dim) || len(x.CentroidScales) != lists):
		return fmt.Errorf("%d codes and %d scales of centroids: want %d and %d", len(x.CentroidCodes), len(x.CentroidScales),
			lists*CodeLen(x.Dim), lists)
	case len(x.Centroids) != lists*RowLen(x.Dim) && (lists > 1 || len(x.Centroids) > 0):
		return fmt.Errorf("%d values of centroids: want %d, for %d lists", len(x.Centroids), lists*RowLen(x.Dim), lists)
	case x.Starts[0] != 0:
		return fmt.Errorf("list 0 starts at row %d: want 0", x.Starts[0])
	}
	for i := range lists {
		if x.Starts[i] > x.Starts[i+1] {
			return fmt.Errorf("list %d starts at row %d, behind its end, %d", i, x.Starts[i], x.Starts[i+1])
		}
	}
	for _, scales := range [][]float32{x.Scales, x.CentroidScales} {
		for i, scale := range scales {
			if !(scale > 0 && scale <= 1) { // values are at most 1, and 127 codes stand for the largest
				return fmt.Errorf("scale %d of codes is %v: want more than 0 and at most 1", i, scale)
			}
		}
	}
	if err := units(x.Vectors, x.Dim, "row"); err != nil {
		return err
	}
	return units(x.Centroids, x.Dim, "centroid")
}

// units fails for a vector whose length is not 1, and so for one with a value that is not a number.
func units(all []float32, dim int, what string) error {
	const tolerance = 1e-3 // of the square; rounding to float32 leaves it below 1e-6
	for i, stride := 0, RowLen(dim); i < len(all); i += stride {
		row := all[i : i+stride]
		if square := dot.One(row, row); !(math.Abs(float64(square)-1) < tolerance) {
			return fmt.Errorf("%s %d: the square of its length is %v: want 1", what, i/stride, square)
		}
	}
	return nil
}
