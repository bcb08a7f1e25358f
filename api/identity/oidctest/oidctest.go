// Package oidctest is an issuer of tokens for tests: good ones, and those that attackers make. It signs people in, too.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Issuer is an OpenID Connect issuer on this machine.
type Issuer struct {
	*httptest.Server
	Now          time.Time // when its tokens are issued
	SecretInBody bool      // how it takes a client's secret
	mu           sync.Mutex
	Keys         []jose.JSONWebKey // the first one signs
	away         bool

	client Client
	people map[string]map[string]any // claims, by name
	codes  map[string]grant
	lie    map[string]any
}

// New starts one, which the test stops.
func New(t testing.TB, now time.Time) *Issuer {
	t.Helper()
	i := &Issuer{Now: now}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		methods := []string{"client_secret_basic", "client_secret_post"}
		if i.SecretInBody {
			methods = methods[1:]
		}
		answer(t, w, map[string]any{
			"token_endpoint_auth_methods_supported": methods,
			"issuer":                                i.URL, "jwks_uri": i.URL + "/keys",
			"authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256", "HS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.away {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		set := jose.JSONWebKeySet{}
		for _, k := range i.Keys {
			set.Keys = append(set.Keys, k.Public())
		}
		answer(t, w, set)
	})
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) { i.token(t, w, r) })
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	i.Rotate(t, "first")
	return i
}

func answer(t testing.TB, w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

// NewKey is one that signs ES256.
func NewKey(t testing.TB, id string) jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// Rotate replaces the issuer's keys by a new one.
func (i *Issuer) Rotate(t testing.TB, id string) {
	key := NewKey(t, id)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.Keys = []jose.JSONWebKey{key}
}

// SetAway makes its keys unreachable.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Claims of a listener's good token, with changes; nil takes one away.
func (i *Issuer) Claims(changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": "homefeed", "sub": "ann", "exp": i.Now.Add(time.Hour).Unix(), "iat": i.Now.Unix(),
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// Sign makes a token.
func Sign(t testing.TB, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Unsigned is a token with the algorithm "none".
func Unsigned(t testing.TB, claims map[string]any) string {
	parts := strings.Split(Sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), claims), ".")
	return "eyJhbGciOiJub25lIn0." + parts[1] + "."
}
