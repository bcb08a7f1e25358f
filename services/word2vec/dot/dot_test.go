package dot

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whole numbers are exact in any order, so the kernels must agree with plain Go to the bit.
func TestKernelsAgreeWithGo(t *testing.T) {
	if !kernels() {
		t.Log("no kernels on this processor: Go is compared with itself")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{0, 1, 7, 8, 16, 24, 40, 48, 64, 100, 112, 304} {
		for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 23, 64} {
			q, rows := make([]float32, dim), make([]float32, n*dim)
			wide, codes, scales := make([]int16, dim), make([]int8, n*dim), make([]float32, n)
			for i := range q {
				q[i], wide[i] = float32(r.IntN(17)-8), int16(r.IntN(2*maxQuery+1)-maxQuery)
			}
			for i := range rows {
				rows[i], codes[i] = float32(r.IntN(17)-8), int8(r.IntN(2*maxCode+1)-maxCode)
			}
			for i := range scales {
				scales[i] = r.Float32()
			}
			got, want := guarded(n), guarded(n)
			Rows(got[:n], q, rows)
			rowsGo(want[:n], q, rows)
			if !slices.Equal(got, want) {
				t.Errorf("Rows of %d × %d = %v, want %v", n, dim, got, want)
			}
			Codes(got[:n], wide, codes, scales)
			codesGo(want[:n], wide, codes, scales)
			if !slices.Equal(got, want) {
				t.Errorf("Codes of %d × %d = %v, want %v", n, dim, got, want)
			}
			for i := range n {
				row := rows[i*dim : (i+1)*dim]
				if got, want := One(q, row), oneGo(q, row); got != want {
					t.Errorf("One of %d = %v, want %v", dim, got, want)
				}
			}
		}
	}
}

// guarded is n results and some more, which nobody may write to.
func guarded(n int) []float32 {
	out := make([]float32, n+block)
	for i := range out {
		out[i] = -77
	}
	return out
}

func TestCodesAreNearTheRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, dim := range []int{1, 50, 64, 4096} {
		q, x := make([]float32, dim), make([]float32, dim)
		for i := range q {
			q[i], x[i] = r.Float32()-.5, r.Float32()-.5
		}
		stride := Padded(dim, CodeLane)
		wide, codes := make([]int16, stride), make([]int8, stride)
		for i := range wide {
			wide[i], codes[i] = 99, 99 // of an earlier use
		}
		Widen(wide, q)
		out, scale := make([]float32, 1), Encode(codes, x)
		Codes(out, wide, codes, []float32{scale})
		// Each value is off by half a step at most; the errors are independent, so 6 of their sums' deviations are plenty.
		got, want := float64(out[0]*step(q, maxQuery)), float64(oneGo(q, x))
		if off := math.Abs(got - want); off > 6*float64(scale)/math.Sqrt(12)*math.Sqrt(float64(oneGo(q, q)))+1e-3 {
			t.Errorf("dimension %d: %v, want about %v", dim, got, want)
		}
	}
	zeros := make([]int8, 4)
	if scale := Encode(zeros, make([]float32, 4)); scale != 0 || !slices.Equal(zeros, make([]int8, 4)) {
		t.Errorf("zeros become %v × %v", zeros, scale)
	}
	Widen(make([]int16, 4), make([]float32, 4))
}

// The greatest sum of codes must not run over.
func TestCodesDoNotOverflow(t *testing.T) {
	const dim = 4096
	q, codes := make([]int16, dim), make([]int8, block*dim)
	for i := range q {
		q[i] = maxQuery
	}
	for i := range codes {
		codes[i] = -maxCode
	}
	out, scales := make([]float32, block), slices.Repeat([]float32{1}, block)
	Codes(out, q, codes, scales)
	if want := float32(-maxQuery * maxCode * dim); out[0] != want {
		t.Errorf("%v, want %v", out[0], want)
	}
}

func TestAbove(t *testing.T) {
	nan := float32(math.NaN())
	for n := range 40 {
		for at := range n + 1 {
			x := slices.Repeat([]float32{-1, 2, nan, float32(math.Inf(-1))}, 10)[:n]
			for i := at; i < n; i += 3 {
				x[i] = 2.5
			}
			if got := Above(x, 2); got != at {
				t.Errorf("Above(%v, 2) = %d, want %d", x, got, at)
			}
		}
	}
	if got := Above([]float32{float32(math.Inf(-1)), -7}, float32(math.Inf(-1))); got != 1 {
		t.Errorf("above nothing at all is %d, want 1", got)
	}
}

// Nothing changes, and nothing outside of x is needed: the last bytes are at the end of what there is.
func TestFetch(t *testing.T) {
	x, codes := []float32{1, 2, 3}, make([]int8, 4096)
	for n := range len(codes) + 1 {
		Fetch(codes[n:])
	}
	Fetch(x)
	Fetch[float32](nil)
	if !slices.Equal(x, []float32{1, 2, 3}) {
		t.Errorf("%v after Fetch", x)
	}
}

func TestPadded(t *testing.T) {
	for dim, want := range map[int]int{0: 0, 1: 8, 8: 8, 9: 16} {
		if got := Padded(dim, Lane); got != want {
			t.Errorf("Padded(%d) = %d, want %d", dim, got, want)
		}
	}
}

func TestWrongSizesPanic(t *testing.T) {
	for name, call := range map[string]func(){
		"rows":   func() { Rows(make([]float32, 2), make([]float32, 8), make([]float32, 15)) },
		"codes":  func() { Codes(make([]float32, 1), make([]int16, 16), make([]int8, 15), make([]float32, 1)) },
		"scales": func() { Codes(make([]float32, 1), make([]int16, 16), make([]int8, 16), nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

// BenchmarkRows has each kernel beside its Go, on rows that are in a cache and on rows that aren't.
func BenchmarkRows(b *testing.B) {
	const dim = 64
	for _, n := range []int{256, 1 << 18} {
		q, rows, out := make([]float32, dim), make([]float32, n*dim), make([]float32, n)
		wide, codes, scales := make([]int16, dim), make([]int8, n*dim), make([]float32, n)
		for name, run := range map[string]func(){
			"float32":    func() { Rows(out, q, rows) },
			"float32 Go": func() { rowsGo(out, q, rows) },
			"int8":       func() { Codes(out, wide, codes, scales) },
			"int8 Go":    func() { codesGo(out, wide, codes, scales) },
		} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
			})
		}
	}
}
