// Package page is the editors' pages: plain HTML, CSS and JavaScript modules out of the binary, which ask the CMS's
// API of the same address for everything, and no other machine for anything but covers.
package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"

	"golang.org/x/time/rate"

	"homefeed/api/cms/signin"
	"homefeed/api/look"
)

//go:embed assets
var assets embed.FS

// Person is somebody whom the pages can be used as, without signing in.
type Person struct {
	Name  string `json:"name"`
	Token string `json:"token"` // a bearer token
}

// policy lets the pages use their own files, this address, and covers from anywhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Config says how editors come in. Its zero value: a proxy in front says who somebody is, or the pages ask for a token.
type Config struct {
	// SignIn answers below signin.Path; the pages then send editors there.
	SignIn *signin.SignIn
	// People is for development only: everybody who can reach the pages gets their tokens.
	People []Person
}

// New is the handler of /cms/ and everything below it.
func New(c Config) (http.Handler, error) {
	own, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, fmt.Errorf("cms pages: opening assets: %w", err)
	}
	shared, err := look.Files()
	if err != nil {
		return nil, fmt.Errorf("cms pages: opening assets: %w", err)
	}
	entry, err := json.Marshal(map[string]any{"people": append([]Person{}, c.People...), "signIn": c.SignIn != nil})
	if err != nil {
		return nil, fmt.Errorf("cms pages: encoding the ways in: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cms/{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, own, "cms.html") })
	mux.HandleFunc("GET /cms/entry", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(entry) // a reader that left needs no answer
	})
	mux.Handle("GET /cms/assets/", http.StripPrefix("/cms/assets/", http.FileServerFS(own)))
	mux.Handle("GET /cms/look/", http.StripPrefix("/cms/look/", http.FileServerFS(shared)))
	if c.SignIn != nil {
		mux.Handle(signin.Path, c.SignIn)
	}
	return look.Guard(policy, limited(mux)), nil
}

// How many files a second the pages are made of for everybody together; one page has about twenty. Whoever asks for them
// is not known yet, so there is nothing to tell people apart by.
const (
	fileRate  = 500
	fileBurst = 2000
)

func limited(next http.Handler) http.Handler {
	bucket := rate.NewLimiter(fileRate, fileBurst)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !bucket.Allow() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at once; try again in a second", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}
