package identity_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"homefeed/api/identity"
)

// counting says who the token names, until its clock is past until, and counts how often it was asked.
type counting struct {
	asked int
	until time.Time
}

func (c *counting) Verify(_ context.Context, r *http.Request) (identity.Identity, error) {
	c.asked++
	token, err := identity.Bearer(r)
	if err != nil || token == "bad" {
		return identity.Identity{}, identity.ErrInvalid
	}
	return identity.Identity{User: token, Until: c.until}, nil
}

func TestRemember(t *testing.T) {
	clock := time.Unix(1000, 0)
	ask := func(m *identity.Remembering, token string) (string, error) {
		r := httptest.NewRequest("GET", "/", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		who, err := m.Verify(t.Context(), r)
		return who.User, err
	}
	for _, c := range []struct {
		name  string
		until time.Time     // of the token
		wait  time.Duration // between asking the first and the second time
		token string
		asked int
	}{
		{"again", clock.Add(time.Hour), 59 * time.Second, "ann", 1},
		{"after a minute", clock.Add(time.Hour), time.Minute, "ann", 2},
		{"after its expiry", clock.Add(5 * time.Second), 5 * time.Second, "ann", 2},
		{"of unknown expiry", time.Time{}, 0, "ann", 2},
		{"bad", clock.Add(time.Hour), 0, "bad", 2},
	} {
		now := clock
		v := &counting{until: c.until}
		m, err := identity.Remember(v, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		first, _ := ask(m, c.token)
		now = now.Add(c.wait)
		second, err := ask(m, c.token)
		if v.asked != c.asked || first != second || (err != nil) != (c.token == "bad") {
			t.Errorf("%s: asked %d times, want %d; %q and %q, %v", c.name, v.asked, c.asked, first, second, err)
		}
		if other, err := ask(m, "bob"); err != nil || other != "bob" {
			t.Errorf("%s: another's token: %q, %v", c.name, other, err)
		}
	}
}
