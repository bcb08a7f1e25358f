package art

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
)

// The edges that a cover may have, in pixels.
const (
	MinSize = 16
	MaxSize = 1024
)

// legible is the edge from which a cover says its title in full; a smaller one says its initials.
const legible = 100

// Cover draws the cover of an id as an SVG, size pixels wide and high. The same arguments give the same bytes. The
// subtitle may be empty.
func Cover(kind Kind, id, title, subtitle string, size int) []byte {
	r := random(kind, id)
	c := canvas{rand: r, colors: pick(r)}
	fmt.Fprintf(&c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="%d" height="%d">`, size, size)
	c.rect(0, 0, 100, 100, c.colors.Ground, 1)
	motif := motifs[r.IntN(len(motifs))]
	style := styles[r.IntN(len(styles))]
	switch {
	case size < legible:
		motif(&c)
		c.initials(style, title)
	case kind == Artist:
		c.portrait(motif)
		c.words(style, 79, 21, title, "")
	case r.IntN(3) == 0: // words above
		c.picture(26, motif)
		c.words(style, 0, 26, title, subtitle)
	default:
		c.picture(0, motif)
		c.words(style, 74, 26, title, subtitle)
	}
	c.WriteString("</svg>\n")
	return c.Bytes()
}

// canvas is an SVG being written, 100 units wide and high.
type canvas struct {
	bytes.Buffer
	rand   *rand.Rand
	colors Colors
}

// between is a number from low to high by chance.
func (c *canvas) between(low, high float64) float64 { return low + c.rand.Float64()*(high-low) }

// accent is one of the two accents by chance.
func (c *canvas) accent() string {
	if c.rand.IntN(2) == 0 {
		return c.colors.Accent
	}
	return c.colors.Second
}

func (c *canvas) rect(x, y, w, h float64, fill string, opacity float64) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" opacity="%.2f"/>`, x, y, w, h, fill, opacity)
}

func (c *canvas) circle(x, y, r float64, fill string, opacity float64) {
	fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s" opacity="%.2f"/>`, x, y, r, fill, opacity)
}

func (c *canvas) path(d, fill string, opacity float64) {
	fmt.Fprintf(c, `<path d="%s" fill="%s" opacity="%.2f"/>`, d, fill, opacity)
}

func (c *canvas) stroke(d, color string, width float64) {
	fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="%.1f" stroke-linecap="round"/>`, d, color, width)
}

// picture draws the middle of a motif, as wide as the cover and 74 units high, from top downwards.
func (c *canvas) picture(top float64, motif func(*canvas)) {
	fmt.Fprintf(c, `<clipPath id="c"><rect y="%.0f" width="100" height="74"/></clipPath>`+
		`<g clip-path="url(#c)"><g transform="translate(0 %.0f)">`, top, top-13)
	motif(c)
	c.WriteString("</g></g>")
}

// portrait draws a motif inside a disc, so that artists don't look like albums.
func (c *canvas) portrait(motif func(*canvas)) {
	fmt.Fprintf(c, `<clipPath id="d"><circle cx="50" cy="50" r="50"/></clipPath>`+
		`<circle cx="50" cy="41" r="35" fill="%s"/><g transform="translate(17 8) scale(.66)"><g clip-path="url(#d)">`, c.colors.Second)
	c.rect(0, 0, 100, 100, c.colors.Ground, .55)
	motif(c)
	c.WriteString("</g></g>")
}

// style is how a cover is lettered. Wide is a letter's mean width as a part of its height.
type style struct {
	font  string
	wide  float64
	upper bool
}

var styles = []style{
	{`font-family="Helvetica,Arial,sans-serif" font-weight="700"`, .58, false},
	{`font-family="Helvetica,Arial,sans-serif" font-weight="700" letter-spacing=".04em"`, .74, true},
	{`font-family="Georgia,'Times New Roman',serif"`, .54, false},
	{`font-family="Georgia,'Times New Roman',serif" font-style="italic"`, .52, false},
	{`font-family="Menlo,'DejaVu Sans Mono',monospace" font-weight="700"`, .62, false},
}

// words writes the title, in as many lines as suit it, over the subtitle, into a band of the ground's colour.
func (c *canvas) words(s style, top, height float64, title, subtitle string) {
	if s.upper {
		title = strings.ToUpper(title)
	}
	const width, under = 88, 5.2
	room := height - 5
	if subtitle != "" {
		room -= under + 1.5
	}
	lines, size := fit(title, s.wide, width, room)
	block := float64(len(lines)) * size * 1.1
	y := top + (height-5-room)/2 + (room-block)/2 + 2.5
	if subtitle != "" {
		y = top + 2.5 + (room-block)/2
	}
	for i, line := range lines {
		c.text(s.font, 6, y+size*(.87+1.1*float64(i)), size, "start", 1, line)
	}
	if subtitle != "" {
		c.text(s.font, 6, top+height-4.5, under, "start", .85, clip(subtitle, int(width/(under*s.wide))))
	}
}

// initials writes up to two letters over a veil of the ground's colour.
func (c *canvas) initials(s style, title string) {
	c.circle(50, 50, 34, c.colors.Ground, .92)
	c.text(s.font, 50, 63, 36, "middle", 1, Initials(title))
}

func (c *canvas) text(font string, x, y, size float64, anchor string, opacity float64, text string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" font-size="%.1f" text-anchor="%s" fill="%s" opacity="%.2f" %s>`,
		x, y, size, anchor, c.colors.Ink, opacity, font)
	// EscapeText replaces what XML can't hold; a Buffer's Write doesn't fail.
	_ = xml.EscapeText(c, []byte(text))
	c.WriteString("</text>")
}

// Initials are the first letters of the first and the last word, or of the only one; "♪" when there is no letter.
func Initials(title string) string {
	words := strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return "♪"
	}
	initials := first(words[0])
	if len(words) > 1 {
		initials += first(words[len(words)-1])
	}
	return strings.ToUpper(initials)
}

func first(word string) string {
	for _, r := range word {
		return string(r)
	}
	return ""
}

// fit breaks the title into at most three lines, in the largest letters that the room allows.
func fit(title string, wide, width, room float64) (lines []string, size float64) {
	for size = min(13, room/1.1); ; size -= .5 {
		perLine := int(width / (size * wide))
		lines = wrap(title, perLine)
		fits := len(lines) <= 3 && float64(len(lines))*size*1.1 <= room
		if fits || size <= 5 {
			most := max(1, min(3, int(room/(size*1.1))))
			if len(lines) > most {
				lines = append(lines[:most-1], clip(strings.Join(lines[most-1:], " "), perLine))
			}
			return lines, size
		}
	}
}

// wrap breaks text between words into lines of at most n letters; a longer word makes a line of its own, clipped.
func wrap(text string, n int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && len([]rune(lines[last]))+1+len([]rune(word)) <= n {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, clip(word, n))
	}
	return lines
}

// clip is text cut to n letters.
func clip(text string, n int) string {
	letters := []rune(text)
	if len(letters) <= n {
		return text
	}
	return strings.TrimSpace(string(letters[:max(n-1, 1)])) + "…"
}
