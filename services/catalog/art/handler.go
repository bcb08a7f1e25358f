package art

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Describe says what stands on a cover, and whether there is such a thing at all.
type Describe func(kind Kind, id string) (title, subtitle string, ok bool)

// NewHandler serves GET /track/{id}/{size}.svg and GET /artist/{id}/{size}.svg; put it under the catalogue's art
// base with http.StripPrefix. Answers may be cached for a day and carry an ETag. 400 says that the size is wrong,
// 404 that the id is unknown.
func NewHandler(describe Describe) http.Handler {
	mux := http.NewServeMux()
	for _, kind := range []Kind{Track, Artist} {
		mux.HandleFunc("GET /"+string(kind)+"/{id}/{file}", func(w http.ResponseWriter, r *http.Request) {
			serve(w, r, kind, describe)
		})
	}
	return mux
}

func serve(w http.ResponseWriter, r *http.Request, kind Kind, describe Describe) {
	number, isSVG := strings.CutSuffix(r.PathValue("file"), ".svg")
	size, err := strconv.Atoi(number)
	if !isSVG || err != nil || size < MinSize || size > MaxSize {
		http.Error(w, fmt.Sprintf("want <size>.svg with a size of %d to %d", MinSize, MaxSize), http.StatusBadRequest)
		return
	}
	title, subtitle, ok := describe(kind, r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	svg := Cover(kind, r.PathValue("id"), title, subtitle, size)
	sum := sha256.Sum256(svg)
	etag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("Content-Security-Policy", "default-src 'none'") // an SVG opened by itself is a document
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Content-Length", strconv.Itoa(len(svg)))
	_, _ = w.Write(svg) // a reader that left needs no answer
}
