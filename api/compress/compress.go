// Package compress makes answers small for those who ask for it.
package compress

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli" // the standard library has no br, which phones ask for first
)

// least is the shortest body that is compressed: a smaller one fits a packet anyway.
const least = 1 << 10

// Body is body in the encoding, "gzip", "br" or "" for as it is, and the encoding that it then has: "" for a short one.
func Body(body []byte, encoding string) ([]byte, string, error) {
	if encoding == "" || len(body) < least {
		return body, "", nil
	}
	var out bytes.Buffer
	out.Grow(len(body) / 4)
	var w io.WriteCloser = brotli.NewWriterLevel(&out, 4) // near gzip's cost, and smaller
	if encoding == "gzip" {
		w = gzip.NewWriter(&out)
	}
	if _, err := w.Write(body); err != nil {
		return nil, "", fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), encoding, nil
}

// Choose reads Accept-Encoding: br before gzip when both are wanted as much, nothing unless one is asked for.
func Choose(accept string) string {
	if accept == "" {
		return ""
	}
	best, most := "", 0.0
	for one := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(one), ";")
		if name != "gzip" && name != "br" {
			continue
		}
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil {
				q = 0
			}
		}
		if q > most || q == most && q > 0 && name == "br" {
			best, most = name, q
		}
	}
	return best
}
