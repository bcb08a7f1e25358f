// Package signin signs editors in to the pages of the CMS at an OpenID Connect issuer: authorization code flow with
// PKCE, state and nonce. The server keeps nothing. A session is the issuer's own ID token in a cookie that scripts can't
// read, verified at every call as a program's token is; it lasts as long as the token does, and half a day at most.
package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2" // the client's half of the flow
	"golang.org/x/time/rate"

	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
)

// Path is below which the routes are: new begins a sign-in, callback ends it, end signs out.
const Path = "/cms/session/"

// The browser takes a cookie called __Host- only over TLS (or on its own machine), from this host and for all of it: no
// neighbour under the same domain can plant one.
const (
	sessionCookie = "__Host-homefeed-session"
	attemptCookie = "__Host-homefeed-sign-in"
)

const (
	attemptFor = 10 * time.Minute // to sign in at the issuer
	sessionFor = 12 * time.Hour   // from the token's making, however long the issuer lets it live
	patience   = 10 * time.Second // for the issuer to redeem a code
	maxCookie  = 4096             // bytes of a cookie's name and value that every browser keeps, RFC 6265 6.1
)

// How often a second everybody together may use the routes: nobody who comes here is known yet.
const (
	routeRate  = 20
	routeBurst = 100
)

// Config says where editors sign in. Tokens, ClientID and URL are needed.
type Config struct {
	Tokens       *oidc.Verifier // of tokens whose audience is ClientID
	Issuer       string         // the issuer's address
	ClientID     string         // what the issuer calls the CMS
	ClientSecret string         // empty for a client without one: PKCE protects the code either way
	URL          string         // of the CMS as browsers see it, https://cms.example.com
	Client       *http.Client   // redeems codes; give it a timeout. Nil: one with 5 s
	Now          func() time.Time
	Log          *slog.Logger // nil: nothing is logged
}

// SignIn is the routes below Path, and an identity.Verifier of who came by them.
type SignIn struct {
	tokens  *oidc.Verifier
	issuer  string
	oauth   oauth2.Config
	client  *http.Client
	now     func() time.Time
	log     *slog.Logger
	foreign *http.CrossOriginProtection
	bucket  *rate.Limiter
	mux     *http.ServeMux
}

// New makes them; it asks nothing of anybody.
func New(c Config) (*SignIn, error) {
	switch base, err := url.Parse(c.URL); {
	case c.Tokens == nil:
		return nil, errors.New("cms sign-in: Tokens: want a verifier of the issuer's tokens")
	case c.Tokens.Endpoint().AuthURL == "" || c.Tokens.Endpoint().TokenURL == "":
		return nil, errors.New("cms sign-in: the issuer's discovery document: want authorization_endpoint and token_endpoint")
	case c.ClientID == "":
		return nil, errors.New("cms sign-in: ClientID: want what the issuer calls the CMS")
	case err != nil || base.Host == "" || strings.Trim(base.Path, "/") != "":
		return nil, errors.New("cms sign-in: URL: want the address of the CMS as browsers see it, without a path")
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &SignIn{
		tokens: c.Tokens, issuer: c.Issuer, client: c.Client, now: c.Now, log: c.Log,
		oauth: oauth2.Config{
			ClientID: c.ClientID, ClientSecret: c.ClientSecret, Endpoint: c.Tokens.Endpoint(),
			RedirectURL: strings.TrimRight(c.URL, "/") + Path + "callback",
			Scopes:      []string{gooidc.ScopeOpenID, "email", "profile"},
		},
		foreign: http.NewCrossOriginProtection(),
		bucket:  rate.NewLimiter(routeRate, routeBurst),
		mux:     http.NewServeMux(),
	}
	if c.ClientSecret == "" { // then the client's name goes into the body: there is nothing to make a header of
		s.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	for route, handle := range s.routes() {
		s.mux.HandleFunc(route, handle)
	}
	return s, nil
}

func (s *SignIn) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET " + Path + "new":      s.begin,
		"GET " + Path + "callback": s.callback,
		"POST " + Path + "end":     s.end,
	}
}

// ServeHTTP answers the routes, within their limits.
func (s *SignIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case r.ContentLength != 0:
		http.Error(w, "want no body", http.StatusRequestEntityTooLarge)
	case !s.bucket.AllowN(s.now(), 1):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at once; try again in a second", http.StatusTooManyRequests)
	default:
		s.mux.ServeHTTP(w, r)
	}
}

// Verify says who has the session that the request's cookie is. It believes the token in it and nothing else.
func (s *SignIn) Verify(ctx context.Context, r *http.Request) (identity.Identity, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return identity.Identity{}, identity.ErrNoToken
	}
	person, err := s.tokens.Person(ctx, cookie.Value)
	if err != nil {
		return identity.Identity{}, err
	}
	person.Until = ends(person)
	if !s.now().Before(person.Until) {
		return identity.Identity{}, identity.ErrExpired
	}
	return person.Identity, nil
}

// ends is when a session ends.
func ends(p oidc.Person) time.Time {
	if half := p.Issued.Add(sessionFor); half.Before(p.Until) {
		return half
	}
	return p.Until
}
