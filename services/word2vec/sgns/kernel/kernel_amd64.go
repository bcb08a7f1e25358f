package kernel

import "golang.org/x/sys/cpu" // the standard library keeps its own such package to itself

// Best is the fastest kernel that this processor can run.
func Best() Kernel {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return Kernel{Name: "AVX2", Do: avx2, Fetch: fetch}
	}
	return Portable()
}

func avx2(s *Step) {
	if len(s.From) == 0 {
		return
	}
	pulls := s.pulls(len(s.From))
	stepAVX2(&s.In.Data[0], &s.Out.Data[0], 4*s.In.Stride, &s.From[0], len(s.From), &s.To, &s.Label, &s.Rate, &pulls[0])
}

// stepAVX2 is Do. stride is in bytes, and pulls has Lane values for each of the n looked-from rows.
//
//go:noescape
func stepAVX2(in, out *float32, stride int, from *int32, n int, to *[Targets]int32, label, rate *[Lane]float32, pulls *float32)

func fetch(r Rows, row int32) { prefetch(&r.Data[int(row)*r.Stride], 4*r.Stride) }

// prefetch asks for bytes from p on, a cache line of 64 at a time.
//
//go:noescape
func prefetch(p *float32, bytes int)
