// Package oidc verifies callers by the OpenID Connect tokens of an issuer.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2" // where an issuer signs people in

	"homefeed/api/identity"
	"homefeed/pipeline/event"
)

// Config says which tokens are good.
type Config struct {
	// Issuer is the issuer's address; its discovery document is read once, its keys whenever a token names an
	// unknown one, so keys may be rotated at any time.
	Issuer string
	// Audience is what the token's aud must contain.
	Audience string
	// RolesClaim is the top-level claim with a service's roles, a list of strings or one string of words. A token
	// with any word there is a service's, even if homefeed knows none of them: it then may do nothing. Empty: "roles".
	RolesClaim string
	// Client fetches the discovery document and the keys; give it a timeout. Nil: one with 5 s.
	Client *http.Client
	// Now is the clock that expiry is checked by. Nil: time.Now.
	Now func() time.Time
}

// Verifier is an identity.Verifier.
type Verifier struct {
	tokens   *oidc.IDTokenVerifier
	claim    string
	endpoint oauth2.Endpoint
}

// New reads the issuer's discovery document, observing ctx's deadline; it fails if the issuer is away or is
// another one than it says.
func New(ctx context.Context, c Config) (*Verifier, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("identity: issuer: want the issuer's address")
	case c.Audience == "":
		return nil, errors.New("identity: audience: want the audience that tokens are made for")
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if c.RolesClaim == "" {
		c.RolesClaim = "roles"
	}
	ctx = oidc.ClientContext(ctx, c.Client)
	provider, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reading the issuer's discovery document: %w", err)
	}
	var discovered struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Secrets    []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&discovered); err != nil {
		return nil, fmt.Errorf("reading the issuer's discovery document: %w", err)
	}
	// The keys outlive ctx, which is only for starting up.
	keys := keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), c.Client), discovered.Keys)}
	return &Verifier{
		tokens: oidc.NewVerifier(c.Issuer, keys, &oidc.Config{
			ClientID: c.Audience, Now: c.Now, SupportedSigningAlgs: signatures(discovered.Algorithms),
		}),
		claim:    c.RolesClaim,
		endpoint: endpoint(provider.Endpoint(), discovered.Secrets),
	}, nil
}

// endpoint says how a client's secret is sent, so that nobody has to find out by being refused: in the header, which is
// the default by OpenID Connect Discovery 1.0, unless the issuer takes it in the body alone.
func endpoint(e oauth2.Endpoint, methods []string) oauth2.Endpoint {
	e.AuthStyle = oauth2.AuthStyleInHeader
	if slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic") {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	return e
}

// signatures keeps the algorithms with a public key: one that shares a secret has no place in a discovery document.
func signatures(offered []string) []string {
	var kept []string
	for _, a := range offered {
		switch a {
		case oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
			oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA:
			kept = append(kept, a)
		}
	}
	return kept // none: RS256, says go-oidc
}

// Verify checks signature, issuer, audience and expiry, and makes the caller a service by its roles or a
// listener by its subject.
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (identity.Identity, error) {
	raw, err := identity.Bearer(r)
	if err != nil {
		return identity.Identity{}, err
	}
	token, claims, err := verified(ctx, v.tokens, raw)
	if err != nil {
		return identity.Identity{}, err
	}
	if words := words(claims[v.claim]); len(words) > 0 {
		return identity.Identity{Service: true, Roles: known(words), Until: token.Expiry, Name: nameOf(token.Subject, claims)}, nil
	}
	if !event.ValidUser(token.Subject) {
		return identity.Identity{}, fmt.Errorf("%w: sub: want 1–64 of A–Z a–z 0–9 . _ -", identity.ErrInvalid)
	}
	return identity.Identity{User: token.Subject, Until: token.Expiry}, nil
}

// Endpoint is where the issuer signs people in, by its discovery document; empty if it signs in nobody.
func (v *Verifier) Endpoint() oauth2.Endpoint { return v.endpoint }

// Person is somebody who signed in.
type Person struct {
	identity.Identity           // a service: what they may do is by their roles, and without one nothing
	Issued            time.Time // when the issuer made the token
	Nonce             string    // of the sign-in that the token was made for
}

// Person checks the ID token of a sign-in as Verify does a caller's; the errors are the same.
func (v *Verifier) Person(ctx context.Context, raw string) (Person, error) {
	token, claims, err := verified(ctx, v.tokens, raw)
	if err != nil {
		return Person{}, err
	}
	return Person{
		Identity: identity.Identity{Service: true, Roles: known(words(claims[v.claim])), Until: token.Expiry, Name: nameOf(token.Subject, claims)},
		Issued:   token.IssuedAt, Nonce: token.Nonce,
	}, nil
}

// verified is what a good token says; its error is one of a Verifier.
func verified(ctx context.Context, tokens *oidc.IDTokenVerifier, raw string) (token *oidc.IDToken, claims map[string]any, err error) {
	away := new(error)
	token, err = tokens.Verify(context.WithValue(ctx, awayKey{}, away), raw)
	if *away != nil {
		return nil, nil, fmt.Errorf("fetching the issuer's keys: %w", *away)
	}
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return nil, nil, identity.ErrExpired
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", identity.ErrInvalid, err)
	}
	if err := token.Claims(&claims); err != nil {
		return nil, nil, fmt.Errorf("%w: reading claims: %w", identity.ErrInvalid, err)
	}
	return token, claims, nil
}

// nameOf is the e-mail address that the issuer vouches for, else the subject.
func nameOf(subject string, claims map[string]any) string {
	email, _ := claims["email"].(string)
	if verified, told := claims["email_verified"].(bool); email != "" && (verified || !told) {
		return email
	}
	return subject
}

// words reads a claim that is a list of strings or one string of words.
func words(claim any) []string {
	switch c := claim.(type) {
	case string:
		return strings.Fields(c)
	case []any:
		var found []string
		for _, w := range c {
			if s, ok := w.(string); ok {
				found = append(found, s)
			}
		}
		return found
	}
	return nil
}

// known are the roles of homefeed among the words; issuers put others in the same claim.
func known(words []string) []identity.Role {
	var roles []identity.Role
	for _, r := range identity.Roles() {
		if slices.Contains(words, string(r)) {
			roles = append(roles, r)
		}
	}
	return roles
}

// keySet tells Verify that keys could not be fetched: go-oidc's own error for that loses its cause on the way.
type keySet struct{ remote *oidc.RemoteKeySet }

type awayKey struct{}

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		if away, ok := ctx.Value(awayKey{}).(*error); ok {
			*away = err
		}
	}
	return payload, err
}
