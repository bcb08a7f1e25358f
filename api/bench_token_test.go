package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
)

// signedIn is what production checks tokens with, and a token of ann's that an issuer on this machine has signed.
func signedIn(b *testing.B) (identity.Verifier, string) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	for path, document := range map[string]any{
		"/.well-known/openid-configuration": map[string]any{
			"issuer": server.URL, "jwks_uri": server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
		},
		"/keys": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(document); err != nil {
				b.Error(err)
			}
		})
	}
	verifier, err := oidc.New(b.Context(), oidc.Config{Issuer: server.URL, Audience: "homefeed"})
	if err != nil {
		b.Fatal(err)
	}
	remembering, err := identity.Remember(verifier, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(remembering.Close)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
	if err != nil {
		b.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": server.URL, "aud": "homefeed", "sub": "ann", "email": "ann@example.com", "scope": "openid profile email",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).Serialize()
	if err != nil {
		b.Fatal(err)
	}
	return remembering, token
}
