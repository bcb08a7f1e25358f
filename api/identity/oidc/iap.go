package oidc

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"homefeed/api/identity"
)

// What Identity-Aware Proxy documents of its tokens.
const (
	iapIssuer = "https://cloud.google.com/iap"
	iapKeys   = "https://www.gstatic.com/iap/verify/public_key-jwk"
	iapHeader = "X-Goog-IAP-JWT-Assertion"
)

// IAPConfig says whom Identity-Aware Proxy lets in, and as what.
type IAPConfig struct {
	// Audience is the backend's: "/projects/<number>/global/backendServices/<id>".
	Audience string
	// Roles is who may do what, by e-mail address in lower case, or by "@example.com" for everybody there. An
	// address counts before its domain; somebody who isn't in it may do nothing.
	Roles map[string]identity.Role
	// Keys is where the keys are; empty: where Google publishes them.
	Keys string
	// Client fetches the keys; give it a timeout. Nil: one with 5 s.
	Client *http.Client
	// Now is the clock that expiry is checked by. Nil: time.Now.
	Now func() time.Time
}

// IAP is an identity.Verifier of people behind Google's Identity-Aware Proxy. It believes the signed header and none
// of the plain ones, which anybody who reaches this process past the proxy could write.
type IAP struct {
	tokens *oidc.IDTokenVerifier
	roles  map[string]identity.Role
}

// NewIAP asks nothing of anybody yet: keys are fetched when they are first needed, and whenever a token names an
// unknown one.
func NewIAP(ctx context.Context, c IAPConfig) (*IAP, error) {
	switch {
	case c.Audience == "":
		return nil, errors.New("identity: IAP: audience: want the audience of the backend's signed headers")
	case len(c.Roles) == 0:
		return nil, errors.New("identity: IAP: roles: want at least one person or domain")
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 5 * time.Second}
	}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), c.Client), cmp.Or(c.Keys, iapKeys))
	return &IAP{
		tokens: oidc.NewVerifier(iapIssuer, keySet{keys}, &oidc.Config{
			ClientID: c.Audience, Now: c.Now, SupportedSigningAlgs: []string{oidc.ES256},
		}),
		roles: c.Roles,
	}, nil
}

// Verify checks signature, issuer, audience and expiry of the proxy's header, and finds the person's role.
func (v *IAP) Verify(ctx context.Context, r *http.Request) (identity.Identity, error) {
	raw := r.Header.Get(iapHeader)
	if raw == "" {
		return identity.Identity{}, identity.ErrNoToken
	}
	token, claims, err := verified(ctx, v.tokens, raw)
	if err != nil {
		return identity.Identity{}, err
	}
	who := identity.Identity{Service: true, Name: nameOf(token.Subject, claims)}
	if role, ok := v.roleOf(strings.ToLower(who.Name)); ok {
		who.Roles = []identity.Role{role}
	}
	return who, nil
}

func (v *IAP) roleOf(email string) (identity.Role, bool) {
	role, ok := v.roles[email]
	if at := strings.LastIndexByte(email, '@'); !ok && at >= 0 {
		role, ok = v.roles[email[at:]]
	}
	return role, ok
}

// Either lets a caller in whom the first verifier that finds a token of its kind lets in: people behind a proxy, and
// services with tokens of their own.
type Either []identity.Verifier

// Verify is the first verifier's answer that isn't identity.ErrNoToken.
func (e Either) Verify(ctx context.Context, r *http.Request) (identity.Identity, error) {
	for _, v := range e {
		if who, err := v.Verify(ctx, r); !errors.Is(err, identity.ErrNoToken) {
			return who, err
		}
	}
	return identity.Identity{}, identity.ErrNoToken
}
