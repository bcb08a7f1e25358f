package kernel

import "math"

// portable goes through the products in the same order as the assembly does.
func portable(s *Step) {
	pulls := s.pulls(len(s.From))
	var out [Targets][]float32
	for j, to := range s.To {
		out[j] = s.Out.Row(to)
	}
	for i, from := range s.From {
		in, pull := s.In.Row(from), pulls[i*Lane:(i+1)*Lane]
		for j := range out {
			pull[j] = (s.Label[j] - Sigmoid(Dot(in, out[j]))) * s.Rate[j]
		}
	}
	for k := range s.In.Stride {
		o0, o1, o2, o3, o4, o5 := out[0][k], out[1][k], out[2][k], out[3][k], out[4][k], out[5][k]
		var d0, d1, d2, d3, d4, d5 float32
		for i, from := range s.From {
			in := &s.In.Data[int(from)*s.In.Stride+k]
			p, c := pulls[i*Lane:(i+1)*Lane], *in
			*in = c + p[0]*o0 + p[1]*o1 + p[2]*o2 + p[3]*o3 + p[4]*o4 + p[5]*o5
			d0 += p[0] * c
			d1 += p[1] * c
			d2 += p[2] * c
			d3 += p[3] * c
			d4 += p[4] * c
			d5 += p[5] * c
		}
		// Added one after the other, so that a target that comes twice is moved twice.
		out[0][k] += d0
		out[1][k] += d1
		out[2][k] += d2
		out[3][k] += d3
		out[4][k] += d4
		out[5][k] += d5
	}
}

// Dot is the sum of the products of two rows of one length.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	return s0 + s1 + s2 + s3
}

// What Sigmoid is made of: it is computed as 1/(1 + 2^y) with y = −x·log₂e: the whole part of y goes into the exponent's bits, and
// 2 to the rest, at most ½ away from 0, is a polynomial (the Taylor series of e^(r·ln 2) to the fifth power, whose
// error is under 4e-6 of it). Beyond ±maxPower it is as good as 0 or 1.
const (
	log2e    = math.Log2E
	maxPower = 60

	c1 = math.Ln2
	c2 = math.Ln2 * math.Ln2 / 2
	c3 = math.Ln2 * math.Ln2 * math.Ln2 / 6
	c4 = math.Ln2 * math.Ln2 * math.Ln2 * math.Ln2 / 24
	c5 = math.Ln2 * math.Ln2 * math.Ln2 * math.Ln2 * math.Ln2 / 120
	// mantissa is where the exponent begins in the bits of a float32.
	mantissa = 23
	// roundTo added to a small float32 pushes all behind the point out of it, to the nearest.
	roundTo = 3 << 22
)

// Sigmoid is 1/(1+e^−x) to within 3e-6.
func Sigmoid(x float32) float32 {
	y := min(max(-log2e*x, -maxPower), maxPower)
	whole := y + roundTo - roundTo
	r := y - whole
	power := 1 + r*(c1+r*(c2+r*(c3+r*(c4+r*c5))))
	return 1 / (1 + math.Float32frombits(math.Float32bits(power)+uint32(int32(whole))<<mantissa))
}
