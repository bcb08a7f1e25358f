// Package dot multiplies one vector with many that lie one behind the other, which is what a search for the nearest
// does almost all of its time. On amd64 with AVX2 and FMA it does so in assembly, eight rows at once; elsewhere, and
// wherever a row has a length that the kernels don't take, in Go.
package dot

import (
	"math"
	"unsafe" // for an address that is only looked at
)

// Lengths of rows that the kernels take are multiples of these; Padded rounds up to them.
const (
	Lane     = 8  // float32 in a register
	CodeLane = 16 // int8 that a register holds once they are widened
)

// Padded is the least multiple of lane that dim values fit into; the values behind them are 0, which changes no
// product.
func Padded(dim, lane int) int { return (dim + lane - 1) / lane * lane }

// block is how many rows the kernels take at once.
const block = 8

// Rows sets out[i] to the product of q with row i of rows, each as long as q. It panics if rows is not
// len(out)·len(q) values.
func Rows(out, q, rows []float32) {
	if len(rows) != len(out)*len(q) {
		panic("dot: rows don't fit the results")
	}
	if len(out) < block || len(q) == 0 || len(q)%Lane != 0 || !kernels() {
		rowsGo(out, q, rows)
		return
	}
	rowsKernel(&out[0], &q[0], &rows[0], len(out)/block, 4*len(q))
	if len(out)%block != 0 { // the last eight once more, some of them for the second time
		last := len(out) - block
		rowsKernel(&out[last], &q[0], &rows[last*len(q)], 1, 4*len(q))
	}
}

func rowsGo(out, q, rows []float32) {
	for i := range out {
		out[i] = oneGo(q, rows[i*len(q):(i+1)*len(q)])
	}
}

// One is the product of two vectors of one length; of unit vectors, their cosine.
func One(a, b []float32) float32 {
	b = b[:len(a)]
	if len(a) == 0 || len(a)%Lane != 0 || !kernels() {
		return oneGo(a, b)
	}
	return oneKernel(&a[0], &b[0], len(a)/Lane)
}

func oneGo(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// Above is the index of the first of x that is above than, or len(x) if none is.
func Above(x []float32, than float32) int {
	if len(x) > 0 && x[0] > than { // as nearly all are at the beginning of a search
		return 0
	}
	i := 0
	if whole := len(x) / Lane * Lane; whole > 0 && kernels() {
		if i = aboveKernel(&x[0], whole/Lane, than); i < whole {
			return i
		}
	}
	for i < len(x) && !(x[i] > than) {
		i++
	}
	return i
}

// Fetch has the processor read x into its nearest cache, and doesn't wait for it. Where there are no kernels it does
// nothing.
func Fetch[T int8 | float32](x []T) {
	if len(x) > 0 && kernels() {
		fetchKernel(unsafe.Pointer(&x[0]), len(x)*int(unsafe.Sizeof(x[0])))
	}
}

// Codes sets out[i] to scales[i] times the product of q with row i of codes, each as long as q: Rows on vectors of a
// quarter of the size. Both sides come from Encode and Widen. It panics if codes and scales don't fit out.
func Codes(out []float32, q []int16, codes []int8, scales []float32) {
	if len(codes) != len(out)*len(q) || len(scales) != len(out) {
		panic("dot: codes don't fit the results")
	}
	if len(out) < block || len(q) == 0 || len(q)%CodeLane != 0 || !kernels() {
		codesGo(out, q, codes, scales)
		return
	}
	codesKernel(&out[0], &q[0], &codes[0], &scales[0], len(out)/block, len(q))
	if len(out)%block != 0 {
		last := len(out) - block
		codesKernel(&out[last], &q[0], &codes[last*len(q)], &scales[last], 1, len(q))
	}
}

func codesGo(out []float32, q []int16, codes []int8, scales []float32) {
	for i := range out {
		row := codes[i*len(q) : (i+1)*len(q)]
		var sum int32
		for j, value := range q {
			sum += int32(value) * int32(row[j])
		}
		out[i] = float32(sum) * scales[i]
	}
}

// Largest codes. Products of both stay below 2³¹ when 8,192 of them are added up: 127 · 2047 · 8192 < 2³¹.
const (
	maxCode  = 127
	maxQuery = 2047
)

// Encode writes x as whole numbers of −127 to 127 times the scale that it returns. Codes behind x are set to 0.
func Encode(codes []int8, x []float32) (scale float32) {
	scale = step(x, maxCode)
	clear(codes)
	for i, value := range x {
		if scale > 0 {
			codes[i] = int8(math.RoundToEven(float64(value / scale)))
		}
	}
	return scale
}

// Widen writes a query as whole numbers of −2047 to 2047 times a scale that is the same for all rows, and so of no
// consequence to which is nearest. Numbers behind x are set to 0.
func Widen(q []int16, x []float32) {
	scale := step(x, maxQuery)
	clear(q)
	if !(scale > 0) {
		return
	}
	for i, value := range x {
		q[i] = int16(int32(float32(value/scale)+rounding) - rounding)
	}
}

// rounding is added to a number below 2²² and taken away again to round it, to even when it is halfway: behind it a
// float32 has no more bits. That is what math.RoundToEven does, in a tenth of the time.
const rounding = 3 << 22

// step is what one whole number stands for if the largest value of x is to be most of them.
func step(x []float32, most int) float32 {
	var largest uint32 // positive numbers are in the order of their bits
	for _, value := range x {
		largest = max(largest, math.Float32bits(value)&^(1<<31))
	}
	return math.Float32frombits(largest) / float32(most)
}
