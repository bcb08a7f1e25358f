// Package look is what the pages of homefeed have in common: colours and type, the button that chooses them, helpers
// for making elements, and the icon.
package look

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed files
var files embed.FS

// Files is theme.css, theme.js, dom.js and icon.svg.
func Files() (fs.FS, error) { return fs.Sub(files, "files") }

// Guard sets the headers that keep a page to itself, with the page's Content-Security-Policy. Files are asked for
// again each time: after a restart they may be another version's.
func Guard(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
