package signin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"homefeed/api/cms/signin"
	"homefeed/api/identity"
	"homefeed/api/identity/oidctest"
)

// TestSignIn goes the way of an editor: in, back to the page they were on, and out.
func TestSignIn(t *testing.T) {
	s := newSite(t)
	p := s.person(t)
	if status, _, body := p.get("/who"); status != 401 || !strings.Contains(body, identity.ErrNoToken.Error()) {
		t.Errorf("before: %d %s", status, body)
	}
	status, to, body := p.get(p.approved("?page=drafts/draft-1", "pia"))
	if status != http.StatusSeeOther || to != "/cms/#/drafts/draft-1" {
		t.Errorf("callback: %d %s %s", status, to, body)
	}
	if p.cookie(signin.AttemptCookie) != "" {
		t.Error("the attempt is kept after it was used")
	}
	if status, _, body := p.get("/who"); status != 200 || body != "pia@example.com" {
		t.Errorf("signed in: %d %s", status, body)
	}
	for _, foreign := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		if status, _, _ := p.do("POST", s.url+signin.Path+"end", nil, foreign...); status != 403 || p.cookie(signin.SessionCookie) == "" {
			t.Errorf("sign-out by a page of another site, %v: %d", foreign, status)
		}
	}
	if status, _, body := p.do("POST", s.url+signin.Path+"end", nil, "Sec-Fetch-Site", "same-origin"); status != 204 || p.cookie(signin.SessionCookie) != "" {
		t.Errorf("sign-out: %d %s", status, body)
	}
	if status, _, _ := p.get("/who"); status != 401 {
		t.Errorf("signed out: %d", status)
	}
	if _, to, _ := p.get(signin.Path + "new?other"); !strings.Contains(to, "prompt=select_account") {
		t.Errorf("another account: %s", to)
	}
}

// TestSecret holds that the secret is sent as the issuer takes it, and that a client may have none.
func TestSecret(t *testing.T) {
	inBody := oidctest.New(t, begun)
	inBody.SecretInBody = true
	for name, s := range map[string]*site{"in the body": siteOf(t, inBody, "s3cret"), "none": siteOf(t, oidctest.New(t, begun), "")} {
		p := s.person(t)
		if status, to, body := p.get(p.approved("", "pia")); status != http.StatusSeeOther || to != "/cms/" {
			t.Errorf("%s: %d %s %s", name, status, to, body)
		}
	}
}

// TestCookies holds that no script, no other host, and no connection that isn't secret gets a cookie, and that each ends.
func TestCookies(t *testing.T) {
	s := newSite(t)
	p := s.person(t)
	seen := map[string]int{}
	p.client.Transport = spy{p.client.Transport, func(a *http.Response) {
		for _, c := range a.Cookies() {
			seen[c.Name] = max(seen[c.Name], c.MaxAge)
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge == 0 {
				t.Errorf("%s", c.Raw)
			}
			if strings.Contains(c.Raw, "s3cret") {
				t.Errorf("%s has the client's secret", c.Name)
			}
		}
	}}
	s.issuer.Lie(map[string]any{"exp": begun.Add(30 * 24 * time.Hour).Unix()})
	p.get(p.approved("", "pia"))
	if want := map[string]int{signin.AttemptCookie: 600, signin.SessionCookie: 12 * 3600}; seen[signin.AttemptCookie] != want[signin.AttemptCookie] || seen[signin.SessionCookie] != want[signin.SessionCookie] {
		t.Errorf("cookies last %v, want %v", seen, want)
	}
	// The browser's word on its age is not what ends it.
	s.now.Store(12*3600 + 1)
	if status, _, body := p.get("/who"); status != 401 || !strings.Contains(body, identity.ErrExpired.Error()) {
		t.Errorf("after half a day: %d %s", status, body)
	}
}

type spy struct {
	http.RoundTripper
	look func(*http.Response)
}

func (s spy) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		s.look(a)
	}
	return a, err
}

// TestRefused holds that whatever is wrong with a sign-in ends it, with a page that says so and without a session.
func TestRefused(t *testing.T) {
	const again = "can’t be used"
	for name, c := range map[string]struct {
		account string
		lie     map[string]any
		change  func(p *person, callback string) string // of the callback's address, or of what the browser keeps
		status  int
		want    string
	}{
		"called off":        {"", nil, nil, 403, "refused or called off"},
		"no role":           {"guest", nil, nil, 403, "guest@example.com, who has none of the roles"},
		"too large":         {"large", nil, nil, 502, "larger than the 4 KB"},
		"a wrong nonce":     {"pia", map[string]any{"nonce": "of another sign-in"}, nil, 400, again},
		"no nonce":          {"pia", map[string]any{"nonce": nil}, nil, 400, again},
		"a wrong audience":  {"pia", map[string]any{"aud": "homefeed"}, nil, 502, "not right"},
		"a wrong issuer":    {"pia", map[string]any{"iss": "https://evil.example"}, nil, 502, "not right"},
		"expired":           {"pia", map[string]any{"exp": begun.Add(-time.Hour).Unix()}, nil, 502, "not right"},
		"never made":        {"pia", map[string]any{"iat": nil}, nil, 502, "not right"},
		"made long ago":     {"pia", map[string]any{"iat": begun.Add(-24 * time.Hour).Unix()}, nil, 502, "not right"},
		"a forged state":    {"pia", nil, func(p *person, at string) string { return replaced(t, at, "state", "forged") }, 400, again},
		"no state":          {"pia", nil, func(p *person, at string) string { return replaced(t, at, "state", "") }, 400, again},
		"a forged code":     {"pia", nil, func(p *person, at string) string { return replaced(t, at, "code", "forged") }, 400, again},
		"no code":           {"pia", nil, func(p *person, at string) string { return replaced(t, at, "code", "") }, 400, again},
		"another issuer":    {"pia", nil, func(p *person, at string) string { return replaced(t, at, "iss", "https://evil.example") }, 400, again},
		"an issuer's error": {"pia", nil, func(p *person, at string) string { return replaced(t, at, "error", "server_error") }, 502, "not right"},
		"another browser": {"pia", nil, func(p *person, at string) string {
			p.setCookie(signin.AttemptCookie, "")
			return at
		}, 400, again},
		"another one's sign-in": {"pia", nil, func(p *person, at string) string {
			p.get(signin.Path + "new") // the victim begins one; the attacker's callback is put before it
			return at
		}, 400, again},
		"another verifier": {"pia", nil, func(p *person, at string) string {
			kept, err := url.ParseQuery(p.cookie(signin.AttemptCookie))
			if err != nil {
				t.Fatal(err)
			}
			kept.Set("verifier", strings.Repeat("v", 43))
			p.setCookie(signin.AttemptCookie, kept.Encode())
			return at
		}, 400, again},
		"a replay": {"pia", nil, func(p *person, at string) string {
			p.get(at)
			p.do("POST", p.site.url+signin.Path+"end", nil)
			return at
		}, 400, again},
		"a replay by who kept the cookie": {"pia", nil, func(p *person, at string) string {
			kept := p.cookie(signin.AttemptCookie)
			p.get(at)
			p.do("POST", p.site.url+signin.Path+"end", nil)
			p.setCookie(signin.AttemptCookie, kept)
			return at
		}, 400, again},
		"the issuer is away": {"pia", nil, func(p *person, at string) string {
			p.site.issuer.Close()
			return at
		}, 503, "can’t be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			p := s.person(t)
			s.issuer.Lie(c.lie)
			callback := p.approved("", c.account)
			if c.change != nil {
				callback = c.change(p, callback)
			}
			status, _, body := p.get(callback)
			if status != c.status || !strings.Contains(body, c.want) || !strings.Contains(body, `href="/cms/session/new?`) {
				t.Errorf("%d, want %d and %q and a way to begin again:\n%s", status, c.status, c.want, body)
			}
			if p.cookie(signin.SessionCookie) != "" {
				t.Error("there is a session")
			}
		})
	}
}

// TestAccess is who gets what answer: a row a route, a column a kind of caller. None of them needs a session.
func TestAccess(t *testing.T) {
	access := map[string]map[string]int{
		"GET /cms/session/new":      {"nobody": 302, "pia": 302, "expired": 302, "forged": 302},
		"GET /cms/session/callback": {"nobody": 400, "pia": 400, "expired": 400, "forged": 400},
		"POST /cms/session/end":     {"nobody": 204, "pia": 204, "expired": 204, "forged": 204},
		"GET /who":                  {"nobody": 401, "pia": 200, "expired": 401, "forged": 401, "listener": 200, "unsigned": 401, "another audience": 401},
	}
	s := newSite(t)
	key, claims := s.issuer.Keys[0], func(changes map[string]any) map[string]any {
		c := s.issuer.Claims(map[string]any{"aud": "cms", "roles": "publisher"})
		for k, v := range changes {
			c[k] = v
		}
		return c
	}
	sessions := map[string]string{
		"nobody": "", "pia": oidctest.Sign(t, jose.ES256, key, claims(nil)),
		"expired":          oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"exp": begun.Add(-time.Second).Unix()})),
		"forged":           oidctest.Sign(t, jose.ES256, oidctest.NewKey(t, "first"), claims(nil)),
		"unsigned":         oidctest.Unsigned(t, claims(nil)),
		"listener":         oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"roles": nil})), // known, with no role
		"another audience": oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"aud": "homefeed"})),
	}
	for _, route := range append(signin.RouteNames(s.signIn), "GET /who") {
		row, ok := access[route]
		if !ok {
			t.Errorf("%s: has no row in the table", route)
		}
		method, path, _ := strings.Cut(route, " ")
		for who, want := range row {
			p := s.person(t)
			if sessions[who] != "" {
				p.setCookie(signin.SessionCookie, sessions[who])
			}
			if status, _, body := p.do(method, s.url+path, nil); status != want {
				t.Errorf("%s as %s: %d, want %d: %s", route, who, status, want, body)
			}
		}
		if strings.HasPrefix(path, signin.Path) {
			other := map[string]string{"GET": "POST", "POST": "GET"}[method]
			if status, _, _ := s.person(t).do(other, s.url+path, nil); status != 405 {
				t.Errorf("%s %s: %d, want 405", other, path, status)
			}
			if status, _, _ := s.person(t).do(method, s.url+path, strings.NewReader("x")); status != 413 {
				t.Errorf("%s with a body: %d, want 413", route, status)
			}
		}
	}
	// A session without a role is somebody who may do nothing.
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: signin.SessionCookie, Value: sessions["listener"]})
	if who, err := s.signIn.Verify(t.Context(), r); err != nil || !who.Service || who.User != "" || len(who.Roles) > 0 {
		t.Errorf("without a role: %+v, %v", who, err)
	}
}

// TestRate holds that nobody makes the server call the issuer without end.
func TestRate(t *testing.T) {
	s := newSite(t)
	var got []int
	for range 101 { // the clock stands still
		w := httptest.NewRecorder()
		s.signIn.ServeHTTP(w, httptest.NewRequest("GET", signin.Path+"callback", nil))
		got = append(got, w.Code)
	}
	if slices.Contains(got[:100], 429) || got[100] != 429 {
		t.Errorf("%v, want 429 for the last one alone", got)
	}
}

// TestAway holds that an issuer whose keys can't be had is not taken for a bad session.
func TestAway(t *testing.T) {
	s := newSite(t)
	s.issuer.Rotate(t, "second")
	s.issuer.SetAway(true)
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: signin.SessionCookie, Value: oidctest.Sign(t, jose.ES256, s.issuer.Keys[0], s.issuer.Claims(map[string]any{"aud": "cms"}))})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.signIn.Verify(ctx, r); err == nil || errors.Is(err, identity.ErrInvalid) || errors.Is(err, identity.ErrExpired) || errors.Is(err, identity.ErrNoToken) {
		t.Errorf("%v, want an error that blames nobody's session", err)
	}
}

// FuzzAddress holds that the way back is a page here, whatever is asked for.
func FuzzAddress(f *testing.F) {
	for _, page := range []string{
		"", "versions", "drafts/draft-1", "/", "//evil.example", "https://evil.example", `\\evil.example`, "javascript:alert(1)",
		"../../evil", "..", "x\r\nLocation: https://evil.example", "%2f%2fevil.example", "a?b", "a#b", strings.Repeat("a", 5000),
	} {
		f.Add(page)
	}
	base, err := url.Parse("https://cms.example.com/cms/session/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, page string) {
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest("GET", base.String(), nil), signin.Address(page), http.StatusSeeOther)
		at, err := base.Parse(w.Header().Get("Location"))
		if err != nil || at.Scheme != "https" || at.Host != base.Host || at.Path != "/cms/" || at.RawQuery != "" || at.User != nil {
			t.Errorf("%q leads to %v, %v", page, at, err)
		}
	})
}

// FuzzAttempt holds that a cookie is refused or understood, and then written as it was understood.
func FuzzAttempt(f *testing.F) {
	f.Add("")
	f.Add("state=a&nonce=b&verifier=c&page=d")
	f.Add("state=a;b&nonce=%zz")
	f.Fuzz(func(t *testing.T, text string) {
		if kept, ok := signin.Kept(text); ok {
			if again, ok := signin.Kept(kept); !ok || again != kept {
				t.Errorf("%q is kept as %q, and that as %q", text, kept, again)
			}
		}
	})
}
