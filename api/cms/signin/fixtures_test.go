package signin_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"homefeed/api/cms/signin"
	"homefeed/api/identity/oidc"
	"homefeed/api/identity/oidctest"
)

var begun = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// site is an issuer, and a CMS whose editors sign in there.
type site struct {
	issuer *oidctest.Issuer
	signIn *signin.SignIn
	url    string
	client *http.Client // trusts the site
	now    atomic.Int64 // seconds after begun
}

func (s *site) clock() time.Time { return begun.Add(time.Duration(s.now.Load()) * time.Second) }

func newSite(t *testing.T) *site {
	t.Helper()
	return siteOf(t, oidctest.New(t, begun), "s3cret")
}

// siteOf is one that the issuer knows by the secret.
func siteOf(t *testing.T, issuer *oidctest.Issuer, secret string) *site {
	t.Helper()
	s := &site{issuer: issuer}
	tokens, err := oidc.New(t.Context(), oidc.Config{Issuer: s.issuer.URL, Audience: "cms", Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, signin.Path) {
			s.signIn.ServeHTTP(w, r)
			return
		}
		who, err := s.signIn.Verify(r.Context(), r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		io.WriteString(w, who.Name)
	}))
	t.Cleanup(ts.Close)
	s.url, s.client = ts.URL, ts.Client()
	if s.signIn, err = signin.New(signin.Config{
		Tokens: tokens, Issuer: s.issuer.URL, ClientID: "cms", ClientSecret: secret, URL: s.url + "/", Now: s.clock,
	}); err != nil {
		t.Fatal(err)
	}
	s.issuer.People(oidctest.Client{ID: "cms", Secret: secret, Redirect: s.url + signin.Path + "callback"}, map[string]map[string]any{
		"pia":   {"roles": []string{"publisher"}, "email": "pia@example.com"},
		"guest": {"email": "guest@example.com"},
		"large": {"roles": []string{"viewer"}, "groups": strings.Repeat("g", 4000)},
	})
	return s
}

// person is somebody with a browser, whose cookies can be looked into.
type person struct {
	t      *testing.T
	site   *site
	client *http.Client
}

func (s *site) person(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, s, &http.Client{Transport: s.client.Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// get is the status, where the answer leads, and what it says. address may leave the site's out.
func (p *person) get(address string) (status int, to, body string) {
	p.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = p.site.url + address
	}
	return p.do("GET", address, nil)
}

func (p *person) do(method, address string, body io.Reader, headers ...string) (status int, to, text string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, address, body)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Location"), string(read)
}

// cookie is a cookie's value, or empty.
func (p *person) cookie(name string) string {
	u, err := url.Parse(p.site.url)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range p.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (p *person) setCookie(name, value string) {
	u, err := url.Parse(p.site.url)
	if err != nil {
		p.t.Fatal(err)
	}
	p.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

// approved goes as far as the issuer's answer: the address of the callback.
func (p *person) approved(query, account string) string {
	p.t.Helper()
	status, to, body := p.get(signin.Path + "new" + query)
	if status != http.StatusFound || !strings.HasPrefix(to, p.site.issuer.URL+"/authorize?") {
		p.t.Fatalf("new: %d %s %s", status, to, body)
	}
	status, to, body = p.get(to + "&account=" + account)
	if status != http.StatusFound || !strings.HasPrefix(to, p.site.url+signin.Path+"callback?") {
		p.t.Fatalf("the issuer: %d %s %s", status, to, body)
	}
	return to
}

func replaced(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
