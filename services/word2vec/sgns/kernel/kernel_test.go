package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reference is what Do is defined by, in float64 and as plainly as can be.
func reference(s *Step) (in, out []float32) {
	pulls := make([][Targets]float64, len(s.From))
	for i, from := range s.From {
		for j, to := range s.To {
			var dot float64
			for k := range s.In.Stride {
				dot += float64(s.In.Row(from)[k]) * float64(s.Out.Row(to)[k])
			}
			pulls[i][j] = float64(s.Rate[j]) * (float64(s.Label[j]) - 1/(1+math.Exp(-dot)))
		}
	}
	in, out = slices.Clone(s.In.Data), slices.Clone(s.Out.Data)
	for i, from := range s.From {
		moved := slices.Clone(in[int(from)*s.In.Stride:][:s.In.Stride])
		for j, to := range s.To {
			for k := range s.In.Stride {
				out[int(to)*s.Out.Stride+k] += float32(pulls[i][j] * float64(in[int(from)*s.In.Stride+k]))
				moved[k] += float32(pulls[i][j] * float64(s.Out.Row(to)[k]))
			}
		}
		copy(in[int(from)*s.In.Stride:], moved)
	}
	return in, out
}

// step is one of from looked-from rows, with dots of all sizes between those at the start of training and the end.
func step(r *rand.Rand, rows, dim, from int) *Step {
	s := &Step{In: NewRows(rows, dim), Out: NewRows(rows, dim)}
	scale := math.Sqrt(math.Exp(r.Float64()*6-3) / math.Sqrt(float64(dim)))
	for _, m := range []Rows{s.In, s.Out} {
		for i := range rows {
			for k := range dim {
				m.Row(int32(i))[k] = float32(r.NormFloat64() * scale)
			}
		}
	}
	for range from {
		s.From = append(s.From, int32(r.IntN(rows)))
	}
	for j := range s.To {
		s.To[j] = int32(r.IntN(rows))
		s.Label[j] = float32(r.IntN(2))
		s.Rate[j] = float32(r.IntN(3)) * r.Float32() / 10
	}
	return s
}

// kernels are those that run here. Best is the fallback where there is no better one, and then this says so.
func kernels(t testing.TB) []Kernel {
	if Best().Name == Portable().Name {
		t.Logf("this processor has neither AVX2 nor another kernel's needs: only %s is tested", Portable().Name)
		return []Kernel{Portable()}
	}
	return []Kernel{Portable(), Best()}
}

func check(t *testing.T, k Kernel, s *Step) {
	t.Helper()
	in, out := reference(s)
	k.Do(s)
	size := 1.
	for _, v := range slices.Concat(in, out) {
		size = max(size, math.Abs(float64(v)))
	}
	for name, side := range map[string][2][]float32{"in": {in, s.In.Data}, "out": {out, s.Out.Data}} {
		for i, want := range side[0] {
			if got := side[1][i]; !(math.Abs(float64(got-want)) < 1e-5*size) {
				t.Fatalf("%s: stride %d, %d rows: %s[%d] is %v, want %v", k.Name, s.In.Stride, len(s.From), name, i, got, want)
			}
		}
	}
}

func TestDoByTheDefinition(t *testing.T) {
	for _, k := range kernels(t) {
		for _, dim := range []int{1, 7, 8, 9, 16, 24, 63, 64, 65, 100, 128, 300} {
			for _, from := range []int{0, 1, 2, 3, 4, 5, 10, 11, 40} {
				t.Run(fmt.Sprintf("%s/%d/%d", k.Name, dim, from), func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(dim), uint64(from)))
					for _, rows := range []int{1, 3, 50} { // with one row everything comes twice
						check(t, k, step(r, rows, dim, from))
					}
				})
			}
		}
	}
}

func FuzzDo(f *testing.F) {
	f.Add(uint64(1), uint8(5), uint8(64), uint8(6))
	f.Fuzz(func(t *testing.T, seed uint64, rows, dim, from uint8) {
		for _, k := range kernels(t) {
			r := rand.New(rand.NewPCG(seed, 0))
			check(t, k, step(r, int(max(rows, 1)), int(max(dim, 1)), int(from%32)))
		}
	})
}

func TestFetchChangesNothing(t *testing.T) {
	for _, k := range kernels(t) {
		s := step(rand.New(rand.NewPCG(1, 1)), 5, 13, 1)
		want := slices.Clone(s.In.Data)
		for i := range int32(5) { // to the last byte of the last row
			k.Fetch(s.In, i)
		}
		if diff := cmp.Diff(want, s.In.Data); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", k.Name, diff)
		}
	}
}

// What is beyond the dimension must stay zero, or it would weigh in.
func TestPaddingStaysZero(t *testing.T) {
	for _, k := range kernels(t) {
		s := step(rand.New(rand.NewPCG(1, 1)), 5, 13, 7)
		for range 10 {
			k.Do(s)
		}
		for i := range int32(5) {
			if diff := cmp.Diff([]float32{0, 0, 0}, s.In.Row(i)[13:]); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", k.Name, diff)
			}
			if diff := cmp.Diff([]float32{0, 0, 0}, s.Out.Row(i)[13:]); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", k.Name, diff)
			}
		}
	}
}

func TestSigmoid(t *testing.T) {
	for x := -50.; x <= 50; x += .001 {
		want := 1 / (1 + math.Exp(-float64(float32(x))))
		if got := float64(Sigmoid(float32(x))); math.Abs(got-want) > 3e-6 {
			t.Fatalf("Sigmoid(%v) is %v, want %v", x, got, want)
		}
	}
	for x, want := range map[float64]float64{math.Inf(1): 1, math.Inf(-1): 0, math.MaxFloat32: 1, -math.MaxFloat32: 0} {
		if got := float64(Sigmoid(float32(x))); math.Abs(got-want) > 1e-12 {
			t.Errorf("Sigmoid(%v) is %v, want %v", x, got, want)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	for _, k := range kernels(b) {
		for _, from := range []int{1, 6, 10} {
			b.Run(fmt.Sprintf("%s/from=%d", k.Name, from), func(b *testing.B) {
				s := step(rand.New(rand.NewPCG(1, 1)), 50, 64, from)
				for j := range s.Rate {
					s.Rate[j] *= 1e-3
				}
				for b.Loop() {
					k.Do(s)
				}
				b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*from), "ns/pair")
			})
		}
	}
}
