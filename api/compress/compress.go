// Package compress makes answers small for those who ask for it.
package compress

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli" // the standard library has no br, which phones ask for first
)

// least is the shortest body that is compressed: a smaller one fits a packet anyway.
const least = 1 << 10

// Bodies compresses bodies, and keeps its compressors' memory, which is a megabyte each, from one to the next. The zero
// value is ready; it is safe for concurrent use.
type Bodies struct{ gzip, br sync.Pool }

// compressor is a gzip.Writer or a brotli.Writer.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// Compress is body in the encoding, "gzip", "br" or "" for as it is, and the encoding that it then has: "" for a short
// one.
func (b *Bodies) Compress(body []byte, encoding string) ([]byte, string, error) {
	if encoding == "" || len(body) < least {
		return body, "", nil
	}
	pool := &b.br
	if encoding == "gzip" {
		pool = &b.gzip
	}
	w, ok := pool.Get().(compressor)
	if !ok {
		if w = brotli.NewWriterLevel(io.Discard, 4); encoding == "gzip" { // near gzip's cost, and smaller
			w = gzip.NewWriter(io.Discard)
		}
	}
	var out bytes.Buffer
	out.Grow(len(body) / 4)
	w.Reset(&out)
	if _, err := w.Write(body); err != nil {
		return nil, "", fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("compressing: %w", err)
	}
	pool.Put(w)
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
