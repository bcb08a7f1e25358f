package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// issuer is an OpenID Connect issuer on this machine.
type issuer struct {
	*httptest.Server
	mu   sync.Mutex
	keys []jose.JSONWebKey // the first one signs
	away bool
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys",
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
		for _, k := range i.keys {
			set.Keys = append(set.Keys, k.Public())
		}
		answer(t, w, set)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	i.rotate(t, "first")
	return i
}

func answer(t *testing.T, w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

func newKey(t *testing.T, id string) jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// rotate replaces the issuer's keys by a new one.
func (i *issuer) rotate(t *testing.T, id string) {
	key := newKey(t, id)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []jose.JSONWebKey{key}
}

func (i *issuer) setAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// claims of a listener's good token, with changes; nil takes one away.
func (i *issuer) claims(changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": "homefeed", "sub": "ann", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
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

func newVerifier(t *testing.T, i *issuer) *oidc.Verifier {
	t.Helper()
	v, err := oidc.New(t.Context(), oidc.Config{
		Issuer: i.URL, Audience: "homefeed", RolesClaim: "homefeed_roles", Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func verify(ctx context.Context, v *oidc.Verifier, token string) (identity.Identity, error) {
	r := httptest.NewRequest("GET", "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return v.Verify(ctx, r)
}

func TestVerify(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i)
	good := sign(t, jose.ES256, i.keys[0], i.claims(nil))
	secret, err := json.Marshal(i.keys[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	service := func(roles ...identity.Role) identity.Identity {
		return identity.Identity{Service: true, Roles: roles, Name: "ann"}
	}
	for _, c := range []struct {
		name  string
		token string
		want  identity.Identity
		err   error
	}{
		{"a listener", good, identity.Identity{User: "ann"}, nil},
		{"a service", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"homefeed_roles": []string{"other", "viewer", "importer"}})),
			service(identity.Viewer, identity.Importer), nil},
		{"a service by words", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"homefeed_roles": "editor"})), service(identity.Editor), nil},
		{"a service without a role here", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"homefeed_roles": []string{"other"}})), service(), nil},
		{"a listener with an empty list", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"homefeed_roles": []string{}})), identity.Identity{User: "ann"}, nil},
		{"roles in another claim", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"roles": []string{"admin"}})), identity.Identity{User: "ann"}, nil},
		{"one audience of two", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"aud": []string{"x", "homefeed"}})), identity.Identity{User: "ann"}, nil},
		{"no token", "", identity.Identity{}, identity.ErrNoToken},
		{"expired", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"exp": now.Add(-time.Second).Unix()})), identity.Identity{}, identity.ErrExpired},
		{"no expiry", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"exp": nil})), identity.Identity{}, identity.ErrExpired},
		{"another issuer", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"iss": "https://evil.example"})), identity.Identity{}, identity.ErrInvalid},
		{"another audience", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"aud": "other"})), identity.Identity{}, identity.ErrInvalid},
		{"not yet valid", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"nbf": now.Add(time.Hour).Unix()})), identity.Identity{}, identity.ErrInvalid},
		{"another key of the same name", sign(t, jose.ES256, newKey(t, "first"), i.claims(nil)), identity.Identity{}, identity.ErrInvalid},
		{"the public key as a secret", sign(t, jose.HS256, secret, i.claims(nil)), identity.Identity{}, identity.ErrInvalid},
		{"no signature", unsigned(t, i.claims(nil)), identity.Identity{}, identity.ErrInvalid},
		{"changed", good[:len(good)-4] + "AAAA", identity.Identity{}, identity.ErrInvalid},
		{"no subject", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"sub": ""})), identity.Identity{}, identity.ErrInvalid},
		{"a subject that is no key", sign(t, jose.ES256, i.keys[0], i.claims(map[string]any{"sub": "a#b"})), identity.Identity{}, identity.ErrInvalid},
		{"a dev token", "dev-user:ann", identity.Identity{}, identity.ErrInvalid},
	} {
		got, err := verify(t.Context(), v, c.token)
		if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.err)
		}
		if c.err == nil {
			c.want.Until = time.Unix(now.Add(time.Hour).Unix(), 0)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// unsigned is a token with the algorithm "none".
func unsigned(t *testing.T, claims map[string]any) string {
	parts := strings.Split(sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), claims), ".")
	return "eyJhbGciOiJub25lIn0." + parts[1] + "."
}

// TestRotation holds that a new key works at once and the old one no longer, and that an issuer that is away is
// told apart from a bad token.
func TestRotation(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i)
	old := sign(t, jose.ES256, i.keys[0], i.claims(nil))
	good := func(got identity.Identity, err error) bool { return err == nil && got.User == "ann" }
	eventually(t, "the first key", v, old, good)
	i.rotate(t, "second")
	fresh := sign(t, jose.ES256, i.keys[0], i.claims(nil))

	i.setAway(true)
	eventually(t, "a known key while the issuer is away", v, old, good)
	eventually(t, "an unknown key while the issuer is away", v, fresh, func(_ identity.Identity, err error) bool {
		return err != nil && !errors.Is(err, identity.ErrInvalid) && !errors.Is(err, identity.ErrExpired)
	})
	i.setAway(false)
	eventually(t, "the new key", v, fresh, good)
	eventually(t, "the old key", v, old, func(_ identity.Identity, err error) bool { return errors.Is(err, identity.ErrInvalid) })
}

// eventually tries again because go-oidc hands out a fetch's keys a moment before it keeps them: a token that comes
// in that moment is judged by the fetch before.
func eventually(t *testing.T, what string, v *oidc.Verifier, token string, ok func(identity.Identity, error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		got, err := verify(t.Context(), v, token)
		if ok(got, err) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %+v, %v", what, got, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	i := newIssuer(t)
	for want, c := range map[string]oidc.Config{
		"issuer":    {Audience: "homefeed"},
		"audience":  {Issuer: i.URL},
		"discovery": {Issuer: i.URL + "/other", Audience: "homefeed"},
	} {
		if _, err := oidc.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}
