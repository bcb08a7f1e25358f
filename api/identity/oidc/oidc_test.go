package oidc_test

import (
	"context"
	"encoding/json"
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

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newVerifier(t *testing.T, i *oidctest.Issuer) *oidc.Verifier {
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
	i := oidctest.New(t, now)
	v := newVerifier(t, i)
	good := oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(nil))
	secret, err := json.Marshal(i.Keys[0].Public())
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
		{"a service", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"homefeed_roles": []string{"other", "viewer", "importer"}})),
			service(identity.Viewer, identity.Importer), nil},
		{"a service by words", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"homefeed_roles": "editor"})), service(identity.Editor), nil},
		{"a service without a role here", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"homefeed_roles": []string{"other"}})), service(), nil},
		{"a listener with an empty list", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"homefeed_roles": []string{}})), identity.Identity{User: "ann"}, nil},
		{"roles in another claim", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"roles": []string{"admin"}})), identity.Identity{User: "ann"}, nil},
		{"one audience of two", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"aud": []string{"x", "homefeed"}})), identity.Identity{User: "ann"}, nil},
		{"no token", "", identity.Identity{}, identity.ErrNoToken},
		{"expired", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"exp": now.Add(-time.Second).Unix()})), identity.Identity{}, identity.ErrExpired},
		{"no expiry", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"exp": nil})), identity.Identity{}, identity.ErrExpired},
		{"another issuer", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"iss": "https://evil.example"})), identity.Identity{}, identity.ErrInvalid},
		{"another audience", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"aud": "other"})), identity.Identity{}, identity.ErrInvalid},
		{"not yet valid", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"nbf": now.Add(time.Hour).Unix()})), identity.Identity{}, identity.ErrInvalid},
		{"another key of the same name", oidctest.Sign(t, jose.ES256, oidctest.NewKey(t, "first"), i.Claims(nil)), identity.Identity{}, identity.ErrInvalid},
		{"the public key as a secret", oidctest.Sign(t, jose.HS256, secret, i.Claims(nil)), identity.Identity{}, identity.ErrInvalid},
		{"no signature", oidctest.Unsigned(t, i.Claims(nil)), identity.Identity{}, identity.ErrInvalid},
		{"changed", good[:len(good)-4] + "AAAA", identity.Identity{}, identity.ErrInvalid},
		{"no subject", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"sub": ""})), identity.Identity{}, identity.ErrInvalid},
		{"a subject that is no key", oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(map[string]any{"sub": "a#b"})), identity.Identity{}, identity.ErrInvalid},
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

// TestRotation holds that a new key works at once and the old one no longer, and that an issuer that is away is
// told apart from a bad token.
func TestRotation(t *testing.T) {
	i := oidctest.New(t, now)
	v := newVerifier(t, i)
	old := oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(nil))
	good := func(got identity.Identity, err error) bool { return err == nil && got.User == "ann" }
	eventually(t, "the first key", v, old, good)
	i.Rotate(t, "second")
	fresh := oidctest.Sign(t, jose.ES256, i.Keys[0], i.Claims(nil))

	i.SetAway(true)
	eventually(t, "a known key while the issuer is away", v, old, good)
	eventually(t, "an unknown key while the issuer is away", v, fresh, func(_ identity.Identity, err error) bool {
		return err != nil && !errors.Is(err, identity.ErrInvalid) && !errors.Is(err, identity.ErrExpired)
	})
	i.SetAway(false)
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
	i := oidctest.New(t, now)
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
