// Package kernel is the arithmetic of skip-gram with negative sampling: one gradient step of a few looked-from rows
// against a few looked-for rows, as three small matrix products that stay in registers and the nearest cache.
//
// There are two implementations of one contract: AVX2 with FMA in assembly, and plain Go. Best chooses at run time
// by what the processor can do. They round differently, so they agree to about six digits and not bit by bit.
package kernel

// Targets is how many looked-for rows a step takes: the neighbour and five random ones, the customary number. Six
// rows and what they change by fill twelve of AVX2's sixteen registers, which leaves just what the products need.
const Targets = 6

// Lane is the number of values that go together: eight float32 are one AVX2 register, and rows are whole ones.
const Lane = 8

// Stride is the length of a row that holds dim values: the next multiple of Lane. What is over stays zero, because
// a step adds multiples of rows to rows.
func Stride(dim int) int { return (dim + Lane - 1) / Lane * Lane }

// Rows is a matrix in one block of memory.
type Rows struct {
	Data   []float32 // a multiple of Stride
	Stride int       // values from one row to the next, a multiple of Lane
}

// NewRows makes n rows for dim values each, all zero.
func NewRows(n, dim int) Rows {
	stride := Stride(dim)
	return Rows{Data: make([]float32, n*stride), Stride: stride}
}

// Row is row i.
func (r Rows) Row(i int32) []float32 {
	from := int(i) * r.Stride
	return r.Data[from : from+r.Stride : from+r.Stride]
}

// Step says what a step is about. Every number of a row must be one of its matrix, and no row of In may lie in Out:
// nobody checks.
type Step struct {
	In, Out Rows // of one stride
	// From are the rows of In that are looked from. One may come twice, and is then moved twice.
	From []int32
	// To are the rows of Out that are looked for. One may come twice, too.
	To [Targets]int32
	// Label is 1 for each target that is near and 0 for one that is not; Rate is how far it counts, 0 for not at
	// all. What is beyond Targets must be 0.
	Label, Rate [Lane]float32
	// scratch has a line of Lane values for each row of From: how hard it pulls at each target.
	scratch []float32
}

// pulls is scratch for n rows.
func (s *Step) pulls(n int) []float32 {
	if len(s.scratch) < n*Lane {
		s.scratch = make([]float32, 2*n*Lane)
	}
	return s.scratch[:n*Lane]
}

// Kernel is one implementation.
type Kernel struct {
	// Name is for people.
	Name string
	// Do moves every looked-from row c by Σ pull·o and every target o by Σ pull·c, where pull is
	// rate · (label − σ(c·o)) of the rows as they were: one step of gradient ascent in Σ log σ(±c·o), as in Mikolov
	// et al., "Distributed Representations of Words and Phrases and their Compositionality" (2013), equation 4. A
	// looked-from row that comes twice is taken the second time where the first left it. Do allocates only when
	// From is longer than ever before.
	Do func(*Step)
	// Fetch asks for a row that a step will need soon to be brought near the processor. It changes nothing.
	Fetch func(r Rows, row int32)
}

// Portable runs everywhere.
func Portable() Kernel { return Kernel{Name: "plain Go", Do: portable, Fetch: func(Rows, int32) {}} }
