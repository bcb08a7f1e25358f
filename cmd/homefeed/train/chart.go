package train

import (
	"bytes"
	"fmt"
	"html"

	"homefeed/services/word2vec/evaluate"
)

// Measures of a chart, in pixels.
const (
	chartWidth = 900
	labelWidth = 330
	rowHeight  = 34
	barHeight  = 12
	headHeight = 104
)

// chart draws a bar for each result as SVG: HR@10 above NDCG@10, whiskers for the spread, and a dashed line for the
// HR@10 of each simple way. The title says what is measured.
func chart(title string, results, simple []result) []byte {
	most := 1e-9
	for _, r := range append(simple[:len(simple):len(simple)], results...) {
		most = max(most, r.Mean.HitRate+r.Spread.HitRate, r.Mean.NDCG+r.Spread.NDCG)
	}
	x := func(score float64) float64 { return labelWidth + (chartWidth-labelWidth-60)*max(score, 0)/most }
	height := headHeight + len(results)*rowHeight + 20
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n",
		chartWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="12" y="24" font-size="14" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<rect x="12" y="38" width="12" height="12" fill="#2f6f9f"/><text x="30" y="48">HR@%d</text>`+"\n", evaluate.K)
	fmt.Fprintf(&b, `<rect x="90" y="38" width="12" height="12" fill="#d9893b"/><text x="108" y="48">NDCG@%d</text>`+"\n", evaluate.K)
	fmt.Fprintf(&b, `<text x="180" y="48" fill="#555">dashed: HR@%d of simpler ways</text>`+"\n", evaluate.K)
	for i, r := range simple {
		at := x(r.Mean.HitRate)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1[1]f" y2="%[3]d" stroke="#777" stroke-dasharray="4 3"/>`+"\n", at, headHeight-8, height-12)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%s %.4f</text>`+"\n",
			at, headHeight-32+i*16, html.EscapeString(r.name), r.Mean.HitRate)
	}
	for i, r := range results {
		top := headHeight + i*rowHeight
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-10, top+barHeight+4, html.EscapeString(r.name))
		bar(&b, x, top, "#2f6f9f", r.Mean.HitRate, r.Spread.HitRate)
		bar(&b, x, top+barHeight+1, "#d9893b", r.Mean.NDCG, r.Spread.NDCG)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func bar(b *bytes.Buffer, x func(float64) float64, top int, colour string, mean, spread float64) {
	middle := float64(top) + barHeight/2
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, top, x(mean)-labelWidth, barHeight, colour)
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1[2]f" stroke="#222"/>`+"\n", x(mean-spread), middle, x(mean+spread))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="10">%.4f</text>`+"\n", x(mean+spread)+5, middle+4, mean)
}
