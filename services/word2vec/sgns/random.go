package sgns

import "math/bits"

// random is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014): two
// multiplications a number, and any state is a good one, so each block of playlists can begin with its own.
type random uint64

// golden is 2⁶⁴ divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

func (r *random) next() uint64 {
	*r += golden
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// randomOf is the generator of part n of what a seed makes.
func randomOf(seed, n uint64) random {
	r := random(seed)
	r = random(r.next() + n)
	return random(r.next())
}

// below is a number under n, and how far from it to the next one the chance went, of 2³²: two choices at the cost of
// one.
func (r *random) below(n int) (i int, rest uint32) {
	hi, lo := bits.Mul64(r.next(), uint64(n))
	return int(hi), uint32(lo >> 32)
}

// float is from 0 to 1, without 1.
func (r *random) float() float32 { return float32(r.next()>>40) / (1 << 24) }
