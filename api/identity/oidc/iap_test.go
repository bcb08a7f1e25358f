package oidc_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
	"homefeed/api/identity/oidctest"
)

const backend = "/projects/1/global/backendServices/2"

func newIAP(t *testing.T, i *oidctest.Issuer) *oidc.IAP {
	t.Helper()
	v, err := oidc.NewIAP(t.Context(), oidc.IAPConfig{
		Audience: backend, Keys: i.URL + "/keys", Now: func() time.Time { return now },
		Roles: map[string]identity.Role{"ann@example.com": identity.Publisher, "@example.com": identity.Viewer},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// iapToken is what the proxy signs for Ann, with changes.
func iapToken(t *testing.T, i *oidctest.Issuer, key jose.JSONWebKey, changes map[string]any) string {
	claims := i.Claims(map[string]any{
		"iss": "https://cloud.google.com/iap", "aud": backend, "sub": "accounts.google.com:1", "email": "ann@example.com",
	})
	for k, v := range changes {
		claims[k] = v
	}
	return oidctest.Sign(t, jose.ES256, key, claims)
}

func TestIAP(t *testing.T) {
	i := oidctest.New(t, now)
	v := newIAP(t, i)
	person := func(name string, roles ...identity.Role) identity.Identity {
		return identity.Identity{Service: true, Name: name, Roles: roles}
	}
	with := func(claim string, value any) string { return iapToken(t, i, i.Keys[0], map[string]any{claim: value}) }
	for name, c := range map[string]struct {
		token string
		want  identity.Identity
		err   error
	}{
		"by address":        {with("email", "ann@example.com"), person("ann@example.com", identity.Publisher), nil},
		"in capitals":       {with("email", "Ann@Example.com"), person("Ann@Example.com", identity.Publisher), nil},
		"by domain":         {with("email", "bob@example.com"), person("bob@example.com", identity.Viewer), nil},
		"nobody":            {with("email", "eve@evil.example"), person("eve@evil.example"), nil},
		"a domain's suffix": {with("email", "eve@not-example.com"), person("eve@not-example.com"), nil},
		"no header":         {"", identity.Identity{}, identity.ErrNoToken},
		"another backend":   {with("aud", "/projects/1/global/backendServices/3"), identity.Identity{}, identity.ErrInvalid},
		"another issuer":    {with("iss", i.URL), identity.Identity{}, identity.ErrInvalid},
		"expired":           {with("exp", now.Add(-time.Second).Unix()), identity.Identity{}, identity.ErrExpired},
		"a forged key":      {iapToken(t, i, oidctest.NewKey(t, "first"), nil), identity.Identity{}, identity.ErrInvalid},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Goog-Authenticated-User-Email", "accounts.google.com:ann@example.com") // anybody can write it
		r.Header.Set("X-Goog-IAP-JWT-Assertion", c.token)
		got, err := v.Verify(t.Context(), r)
		if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.err) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for want, c := range map[string]oidc.IAPConfig{
		"audience": {Roles: map[string]identity.Role{"@a": identity.Viewer}}, "roles": {Audience: backend},
	} {
		if _, err := oidc.NewIAP(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}

// TestEither holds that a bad token of one kind is refused whatever comes with it.
func TestEither(t *testing.T) {
	i := oidctest.New(t, now)
	either := oidc.Either{newIAP(t, i), newVerifier(t, i)}
	bearer := oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"homefeed_roles": "editor", "email": "bot@example.com", "email_verified": true}))
	for name, c := range map[string]struct {
		iap, bearer string
		want        string
		err         error
	}{
		"the proxy's":        {iapToken(t, i, i.Keys[0], nil), "", "ann@example.com", nil},
		"a service's":        {"", bearer, "bot@example.com", nil},
		"a bad one of two":   {iapToken(t, i, oidctest.NewKey(t, "first"), nil), bearer, "", identity.ErrInvalid},
		"neither":            {"", "", "", identity.ErrNoToken},
		"unverified address": {"", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"homefeed_roles": "editor", "email": "ann@example.com", "email_verified": false})), "ann", nil},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Goog-IAP-JWT-Assertion", c.iap)
		if c.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+c.bearer)
		}
		if got, err := either.Verify(t.Context(), r); got.Name != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
