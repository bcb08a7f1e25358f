package art

import (
	"fmt"
	"math"
	"strings"
)

// motifs are the pictures that a cover may have. Each fills the square of 100 by 100.
var motifs = []func(*canvas){
	rings, stripes, sunset, quarters, waves, mountains, dots, discs, rays, blocks, petals, steps,
}

// rings are circles around a point off the middle.
func rings(c *canvas) {
	x, y := c.between(20, 80), c.between(20, 80)
	step := c.between(6, 11)
	for i := int(110 / step); i > 0; i-- {
		fill := []string{c.colors.Accent, c.colors.Ground, c.colors.Second, c.colors.Ground}[i%4]
		c.circle(x, y, float64(i)*step, fill, 1)
	}
}

// stripes run across at one slant, in widths by chance.
func stripes(c *canvas) {
	fmt.Fprintf(c, `<g transform="rotate(%.0f 50 50)">`, c.between(20, 70))
	for x := -40.0; x < 140; {
		w := c.between(3, 16)
		c.rect(x, -40, w, 180, c.accent(), c.between(.55, 1))
		x += w + c.between(2, 9)
	}
	c.WriteString("</g>")
}

// sunset is a disc that sinks into bars.
func sunset(c *canvas) {
	y := c.between(45, 60)
	c.rect(0, 0, 100, y+12, c.colors.Second, .35)
	c.circle(c.between(35, 65), y, c.between(24, 34), c.colors.Accent, 1)
	c.rect(0, y+12, 100, 100, c.colors.Ground, 1)
	for i := range 6 {
		at := y - 2 + float64(i*i)*.9 + float64(i)*4
		c.rect(0, at, 100, 1.2+float64(i)*.5, c.colors.Ground, 1)
		c.rect(0, y+14+float64(i*i)*1.5, 100, .8+float64(i)*.35, c.colors.Second, .9)
	}
}

// quarters are tiles, each with a quarter of a disc in one of its corners.
func quarters(c *canvas) {
	n := 3 + c.rand.IntN(3)
	edge := 100 / float64(n)
	for i := range n * n {
		x, y := float64(i%n)*edge, float64(i/n)*edge
		if c.rand.IntN(3) == 0 {
			c.rect(x, y, edge, edge, c.colors.Second, .5)
		}
		corner := c.rand.IntN(4)
		cx, cy := x+edge*float64(corner&1), y+edge*float64(corner>>1)
		dx, dy := edge*float64(1-2*(corner&1)), edge*float64(1-2*(corner>>1))
		sweep := 1
		if dx*dy < 0 {
			sweep = 0
		}
		c.path(fmt.Sprintf("M%.2f %.2fh%.2fA%.2f %.2f 0 0 %d %.2f %.2fZ", cx, cy, dx, edge, edge, sweep, cx, cy+dy), c.accent(), 1)
	}
}

// waves are lines that swell where a hill passes behind them.
func waves(c *canvas) {
	hill, spread := c.between(35, 65), c.between(10, 20)
	for line := range 15 {
		y := 16 + float64(line)*6
		var d strings.Builder
		fmt.Fprintf(&d, "M-4 %.1f", y)
		for x := -4.0; x <= 104; x += 4 {
			swell := math.Exp(-(x - hill) * (x - hill) / (2 * spread * spread))
			fmt.Fprintf(&d, "L%.1f %.1f", x, y-swell*c.between(2, 17)-c.between(0, .8))
		}
		color := c.colors.Second
		if line%5 == 2 {
			color = c.colors.Accent
		}
		c.path(d.String()+"V110H-4Z", c.colors.Ground, 1)
		c.stroke(d.String(), color, 1.1)
	}
}

// mountains are ridges, one in front of the other, under a moon.
func mountains(c *canvas) {
	c.rect(0, 0, 100, 100, c.colors.Second, .3)
	c.circle(c.between(20, 80), c.between(16, 34), c.between(7, 13), c.colors.Accent, 1)
	for ridge := range 4 {
		var d strings.Builder
		base := 42 + float64(ridge)*15
		fmt.Fprintf(&d, "M0 100V%.1f", base+c.between(-8, 8))
		for x := 0.0; x < 100; {
			x += c.between(9, 22)
			fmt.Fprintf(&d, "L%.1f %.1f", x, base+c.between(-14, 8))
		}
		fill, opacity := c.colors.Second, .4+float64(ridge)*.2
		if ridge == 3 {
			fill, opacity = c.colors.Ground, 1
		}
		c.path(d.String()+"V100Z", fill, opacity)
	}
}

// dots grow across a grid, as in a halftone print.
func dots(c *canvas) {
	x, y := c.between(0, 100), c.between(0, 100)
	c.rect(0, 0, 100, 100, c.colors.Second, .25)
	const n = 10
	for i := range n * n {
		cx, cy := (float64(i%n)+.5)*100/n, (float64(i/n)+.5)*100/n
		near := 1 - math.Hypot(cx-x, cy-y)/120
		c.circle(cx, cy, .6+5*max(near, 0)*max(near, 0), c.colors.Accent, 1)
	}
}

// discs lie over each other, and show through.
func discs(c *canvas) {
	for range 7 {
		c.circle(c.between(5, 95), c.between(5, 95), c.between(14, 38), c.accent(), c.between(.45, .8))
	}
}

// rays go out from a point on the edge.
func rays(c *canvas) {
	x, y := c.between(10, 90), c.between(70, 100)
	n := 12 + c.rand.IntN(10)
	for i := range n {
		if i%2 == 0 {
			continue
		}
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		sin2, cos2 := math.Sincos(2 * math.Pi * float64(i+1) / float64(n))
		fill := c.colors.Accent
		if i%4 == 1 {
			fill = c.colors.Second
		}
		c.path(fmt.Sprintf("M%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y, x+200*cos, y+200*sin, x+200*cos2, y+200*sin2), fill, .9)
	}
	c.circle(x, y, c.between(12, 20), c.colors.Ground, 1)
	c.circle(x, y, 9, c.colors.Accent, 1)
}

// blocks are a few large plain shapes.
func blocks(c *canvas) {
	half := c.between(35, 65)
	c.rect(0, 0, half, 100, c.colors.Second, 1)
	c.circle(half, c.between(30, 70), c.between(20, 32), c.colors.Accent, 1)
	y := c.between(55, 80)
	c.path(fmt.Sprintf("M%.1f %.1fH100V100H%.1fZ", half-20, y, half+10), c.colors.Ground, .9)
	c.rect(c.between(5, 25), c.between(5, 25), c.between(8, 16), c.between(8, 16), c.colors.Ink, .9)
}

// petals turn around the middle.
func petals(c *canvas) {
	n := 5 + c.rand.IntN(8)
	long, wide := c.between(34, 52), c.between(8, 18)
	for layer := range 2 {
		fill, reach := c.colors.Second, long
		if layer == 1 {
			fill, reach = c.colors.Accent, long*.62
		}
		for i := range n {
			turn := 360 * (float64(i) + float64(layer)/2) / float64(n)
			fmt.Fprintf(c, `<ellipse cx="50" cy="%.1f" rx="%.1f" ry="%.1f" fill="%s" opacity=".82" transform="rotate(%.1f 50 50)"/>`,
				50-reach/2, wide/2, reach/2, fill, turn)
		}
	}
	c.circle(50, 50, c.between(4, 8), c.colors.Ink, 1)
}

// steps are bars that rise and fall, as on an equaliser.
func steps(c *canvas) {
	n := 9 + c.rand.IntN(6)
	w := 100 / float64(n)
	for i := range n {
		h := c.between(22, 82)
		c.rect(float64(i)*w+w*.12, 100-h, w*.76, h, c.colors.Second, 1)
		c.rect(float64(i)*w+w*.12, 100-h, w*.76, min(h, 8), c.colors.Accent, 1)
	}
}
