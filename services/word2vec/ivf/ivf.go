// Package ivf finds the rows nearest to a direction among millions. Rows that point the same way lie together in a
// list with a centroid (an inverted file, "IVF"), and centroids in cells likewise; a search ranks the cells, then the
// centroids in the best cells, and compares the query with the rows of the best lists only. How many of each that takes
// for a wanted recall is found out when the index is built, by exact answers, and kept with it. Few rows need no lists:
// they are all compared, and the answer is exact.
package ivf

import (
	"errors"
	"fmt"
	"math"
	"runtime"
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
	// Cells are the centroids of the centroids, padded as these; there are some unless there is one list.
	Cells      []float32
	CellStarts []uint32 // cell i is the lists from CellStarts[i] up to CellStarts[i+1]
	CellProbes Probes   // cells to open, where Probes is lists to look into
	// Codes are the rows again, less what all have in common, in a quarter of the space, to find candidates by; Vectors
	// then rank those. Centroids have them, too, so that all of those stay in a cache. Empty: Vectors and Centroids are
	// compared.
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

// Probes is how many lists, or cells, a search looks into to find most of the 10, the 100 and the 1,000 nearest.
type Probes [3]uint32

// of is the count for the k nearest: on a straight line between the tuned ones, and beyond them, over log k.
func (p Probes) of(k float64) int {
	if k <= 10 {
		return int(p[0])
	}
	x := math.Log10(k) - 1 // 0, 1 and 2 at the tuned ones
	i := min(int(x), 1)
	low, high := math.Log(float64(max(p[i], 1))), math.Log(float64(max(p[i+1], 1)))
	return int(min(math.Ceil(math.Exp(low+(x-float64(i))*(high-low))-1e-9), math.MaxInt32))
}

// within fails unless a search can look into as many as the probes say, and looks into one at least, of those there are.
func (p Probes) within(n int, of string) error {
	for _, probes := range p {
		if int(probes) > n || probes < 1 && n > 0 {
			return fmt.Errorf("probes of %v %s: want 1 to %d", p, of, n)
		}
	}
	return nil
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

// cells is the number of cells.
func (x *Index) cells() int { return max(len(x.CellStarts)-1, 0) }

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
	case len(x.Cells) != x.cells()*RowLen(x.Dim):
		return fmt.Errorf("%d values of cells: want %d, for %d cells", len(x.Cells), x.cells()*RowLen(x.Dim), x.cells())
	case lists > 1 && (x.cells() == 0 || int(x.CellStarts[x.cells()]) != lists):
		return fmt.Errorf("%d cells: want some, which end at list %d", x.cells(), lists)
	}
	if err := errors.Join(ascending(x.Starts, "list", "row"), ascending(x.CellStarts, "cell", "list")); err != nil {
		return err
	}
	if err := errors.Join(x.Probes.within(lists, "lists"), x.CellProbes.within(x.cells(), "cells")); err != nil {
		return err
	}
	for _, scales := range [][]float32{x.Scales, x.CentroidScales} {
		for i, scale := range scales {
			if !(scale >= 0 && scale <= 1) { // values and their mean are at most 1, and 127 codes stand for the largest
				return fmt.Errorf("scale %d of codes is %v: want 0 to 1", i, scale)
			}
		}
	}
	if err := units(x.Vectors, x.Dim, "row"); err != nil {
		return err
	}
	return errors.Join(units(x.Centroids, x.Dim, "centroid"), units(x.Cells, x.Dim, "cell"))
}

// ascending fails unless there is a range from one start to the next, the first from 0 on.
func ascending(starts []uint32, what, of string) error {
	for i, start := range starts {
		if i == 0 && start != 0 {
			return fmt.Errorf("%s 0 starts at %s %d: want 0", what, of, start)
		}
		if i > 0 && start < starts[i-1] {
			return fmt.Errorf("%s %d starts at %s %d, behind its end, %d", what, i-1, of, starts[i-1], start)
		}
	}
	return nil
}

// units fails for a vector whose length is not 1, and so for one with a value that is not a number.
func units(all []float32, dim int, what string) error {
	const tolerance = 1e-3 // of the square; rounding to float32 leaves it below 1e-6
	const turn = 4096      // rows before others have a turn: what is searched meanwhile is more urgent
	for i, stride := 0, RowLen(dim); i < len(all); i += stride {
		if i/stride%turn == turn-1 {
			runtime.Gosched()
		}
		row := all[i : i+stride]
		if square := dot.One(row, row); !(math.Abs(float64(square)-1) < tolerance) {
			return fmt.Errorf("%s %d: the square of its length is %v: want 1", what, i/stride, square)
		}
	}
	return nil
}
