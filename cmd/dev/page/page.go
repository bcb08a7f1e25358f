// Package page is the page at / of cmd/dev: one listener's Home as on a phone, and beside it what every tap sets
// off. It is plain HTML, CSS and JavaScript modules out of the binary; it asks no other machine for anything.
package page

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/look"
)

//go:embed assets
var assets embed.FS

// Listener is somebody whose Home the page can show.
type Listener struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`  // empty: the id is shown
	About string `json:"about,omitempty"` // a few words, such as "likes jazz"
}

// Config is what the page asks of the process around it. The page itself talks to /v1/home and /v1/events of the
// same address with cmd/dev's tokens, and loads covers from whatever address of the same origin the cards give.
type Config struct {
	// Listeners lists who can be chosen, in the order shown.
	Listeners func(ctx context.Context) ([]Listener, error)
	// ArtistOf is the id of a track's artist, "" when the track is unknown. Nil: artists of tracks can't be followed.
	ArtistOf func(ctx context.Context, track string) (string, error)
	// Metrics feeds the panel that shows the way from event to Home. Nil: there is no panel.
	Metrics prometheus.Gatherer
	// Log takes failures of the three above. Nil: nothing is logged.
	Log *slog.Logger
}

// timeout bounds each call of Config's functions.
const timeout = 5 * time.Second

// policy lets the page use its own files and this address only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// New is the handler of / and everything below it that no other handler takes: /assets/, /look/ and /dev/.
func New(c Config) (http.Handler, error) {
	if c.Listeners == nil {
		return nil, errors.New("page: Listeners: want a function")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, fmt.Errorf("page: opening assets: %w", err)
	}
	shared, err := look.Files()
	if err != nil {
		return nil, fmt.Errorf("page: opening assets: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page.html")
	})
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(files)))
	mux.Handle("GET /look/", http.StripPrefix("/look/", http.FileServerFS(shared)))
	mux.HandleFunc("GET /dev/listeners", answer(c.Log, func(ctx context.Context, _ *http.Request) (any, error) {
		listeners, err := c.Listeners(ctx)
		if listeners == nil {
			listeners = []Listener{}
		}
		return map[string]any{"listeners": listeners}, err
	}))
	mux.HandleFunc("GET /dev/artist/{track}", answer(c.Log, func(ctx context.Context, r *http.Request) (any, error) {
		if c.ArtistOf == nil {
			return nil, errNone
		}
		artist, err := c.ArtistOf(ctx, r.PathValue("track"))
		if err == nil && artist == "" {
			err = errNone
		}
		return map[string]string{"artist": artist}, err
	}))
	mux.HandleFunc("GET /dev/way", answer(c.Log, func(context.Context, *http.Request) (any, error) {
		if c.Metrics == nil {
			return nil, errNone
		}
		return wayOf(c.Metrics)
	}))
	return look.Guard(policy, mux), nil
}

// errNone says that there is no such thing here.
var errNone = errors.New("not found")

// answer serves a JSON value made within the timeout.
func answer(log *slog.Logger, value func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		w.Header().Set("Cache-Control", "no-store")
		v, err := value(ctx, r)
		var body []byte
		if err == nil {
			body, err = json.Marshal(v)
		}
		switch {
		case errors.Is(err, errNone):
			http.NotFound(w, r)
		case err != nil:
			log.Warn("page: answering failed", "route", r.Pattern, "error", err)
			http.Error(w, "not available just now", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body) // a reader that left needs no answer
		}
	}
}
