// Package art draws covers for a catalogue that has no pictures: an SVG from an id, always the same one.
package art

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// Kind is what a cover is of; it is also the first part of the cover's path.
type Kind string

// The kinds of covers.
const (
	Track  Kind = "track"
	Artist Kind = "artist"
)

// Colors are the colours of a cover, as CSS hex.
type Colors struct {
	Ground string // what everything lies on
	Accent string
	Second string
	Ink    string // of text; stands out from Ground by 4.5 : 1 or more
}

// List is the colours, the ground first.
func (c Colors) List() []string { return []string{c.Ground, c.Accent, c.Second, c.Ink} }

// ColorsOf is the colours of an id's cover.
func ColorsOf(kind Kind, id string) Colors { return pick(random(kind, id)) }

// random is the source of everything that is by chance on a cover. Colours are drawn from it first.
func random(kind Kind, id string) *rand.Rand {
	h := fnv.New128a()
	h.Write([]byte(kind))
	h.Write([]byte{'/'})
	h.Write([]byte(id))
	sum := h.Sum(nil)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])))
}

// pick chooses a hue and a mood (dark, light or vivid), and two accents at a distance that looks well.
func pick(r *rand.Rand) Colors {
	hue := r.Float64() * 360
	steps := [...][2]float64{{30, 60}, {150, 210}, {180, 30}, {120, 240}, {-40, 170}, {60, 200}}
	step := steps[r.IntN(len(steps))]
	a, b := hue+step[0], hue+step[1]
	switch mood := r.IntN(10); {
	case mood < 5: // dark
		return Colors{oklch(.25, .06, hue), oklch(.70, .17, a), oklch(.85, .12, b), oklch(.97, .015, hue)}
	case mood < 8: // light
		return Colors{oklch(.93, .04, hue), oklch(.63, .19, a), oklch(.48, .14, b), oklch(.24, .05, hue)}
	default: // vivid
		return Colors{oklch(.46, .16, hue), oklch(.80, .15, a), oklch(.30, .09, b), oklch(.98, .015, hue)}
	}
}

// oklch is a colour by lightness 0–1, chroma and hue in degrees, in the space where equal steps look equal;
// chroma is lowered until a screen can show it.
func oklch(l, c, h float64) string {
	sin, cos := math.Sincos(h * math.Pi / 180)
	for ; ; c -= .005 {
		r, g, b := linear(l, c*cos, c*sin)
		if c <= 0 || shown(r) && shown(g) && shown(b) {
			return fmt.Sprintf("#%02x%02x%02x", encode(r), encode(g), encode(b))
		}
	}
}

func shown(v float64) bool { return v >= 0 && v <= 1 }

// linear turns OKLab into linear sRGB (Björn Ottosson's matrices).
func linear(l, a, b float64) (red, green, blue float64) {
	x := cube(l + .3963377774*a + .2158037573*b)
	y := cube(l - .1055613458*a - .0638541728*b)
	z := cube(l - .0894841775*a - 1.2914855480*b)
	return 4.0767416621*x - 3.3077115913*y + .2309699292*z,
		-1.2684380046*x + 2.6097574011*y - .3413193965*z,
		-.0041960863*x - .7034186147*y + 1.7076147010*z
}

func cube(v float64) float64 { return v * v * v }

// encode is the sRGB byte of a linear value.
func encode(v float64) uint8 {
	v = min(max(v, 0), 1)
	if v <= .0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - .055
	}
	return uint8(math.Round(v * 255))
}
