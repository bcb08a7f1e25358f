package page_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/go-jose/go-jose/v4"

	"homefeed/api/cms/page"
	"homefeed/api/cms/server"
	"homefeed/api/cms/signin"
	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
	"homefeed/api/identity/oidctest"
)

// serveSignIn is a CMS whose editors sign in at an issuer.
func serveSignIn(t *testing.T) (s *site, issuer *oidctest.Issuer) {
	t.Helper()
	issuer = oidctest.New(t, time.Now())
	return serveFor(t, func(url string) (identity.Verifier, page.Config) {
		issuer.People(oidctest.Client{ID: "cms", Secret: "s3cret", Redirect: url + signin.Path + "callback"}, map[string]map[string]any{
			"pia":   {"email": "pia@example.com", "roles": "publisher"},
			"ed":    {"email": "ed@example.com", "roles": "editor"},
			"guest": {"email": "guest@example.com"},
		})
		tokens, err := oidc.New(t.Context(), oidc.Config{Issuer: issuer.URL, Audience: "cms"})
		if err != nil {
			t.Fatal(err)
		}
		in, err := signin.New(signin.Config{Tokens: tokens, Issuer: issuer.URL, ClientID: "cms", ClientSecret: "s3cret", URL: url})
		if err != nil {
			t.Fatal(err)
		}
		return in, page.Config{SignIn: in}
	}), issuer
}

// window waits for the window that was opened at the address.
func (b *tab) window(address string) *tab {
	b.t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		targets, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, found := range targets {
			if found.Type == "page" && !found.Attached && strings.HasPrefix(found.URL, address) {
				ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(found.TargetID))
				b.t.Cleanup(cancel)
				return &tab{b.t, ctx}
			}
		}
		select {
		case <-look.C:
		case <-b.ctx.Done():
			b.t.Fatalf("no window opens at %s", address)
		}
	}
}

// follow clicks from page to page, and waits for what the last one has.
func (b *tab) follow(selectors ...string) {
	b.t.Helper()
	for _, one := range selectors[:len(selectors)-1] {
		b.run(chromedp.Click(chromedp.CSS(one)))
	}
	b.run(chromedp.WaitVisible(chromedp.CSS(selectors[len(selectors)-1])))
}

// loseSession is what the end of a session does to a browser.
func (b *tab) loseSession() {
	b.t.Helper()
	b.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

// TestSignIn signs in, loses the session over a change that isn't saved, goes on, and signs out.
func TestSignIn(t *testing.T) {
	s, issuer := serveSignIn(t)
	b := open(t, s.url+"#/versions")
	asked := `document.activeElement === document.getElementById('sign-in-link') && !document.getElementById('sign-in').hidden && document.getElementById('paste').hidden`
	b.until(asked)
	b.picture("cms-signin-1-asked")
	if wrong := b.text(audit); wrong != "" {
		t.Error(wrong)
	}

	b.follow("#sign-in-link", `[data-account="guest"]`, "h1")
	b.until(`document.querySelector('h1')?.textContent === 'You have no role here' && document.body.innerText.includes('guest@example.com')`)
	b.picture("cms-signin-2-no-role")
	if wrong := b.text(audit); wrong != "" {
		t.Error(wrong)
	}
	b.follow("a.primary", `[data-account="pia"]`, "#sign-out")
	b.until(`document.getElementById('caller')?.textContent === 'pia@example.com' && location.hash === '#/versions' && document.querySelector('[aria-current]')?.textContent === 'Versions'`)
	if cookies := b.text(`document.cookie`); cookies != "" {
		t.Errorf("scripts can read %q", cookies)
	}
	b.run(chromedp.Navigate(s.url + "#/"))
	b.begin("Spring")
	b.saved()
	b.picture("cms-signin-3-in")

	// The session ends, and the draft is changed: by somebody who comes back from lunch.
	b.loseSession()
	b.fill("#draft-title", "Spring, after lunch")
	b.until(`!document.getElementById('ended').hidden && document.getElementById('status').dataset.state === 'failed'`)
	b.fill("#draft-title", "Spring, long after lunch")
	b.until(`document.getElementById('status').textContent === 'Not saved: Your session has ended. It is kept in this browser.'`)
	b.picture("cms-signin-4-ended")
	if wrong := b.text(audit); wrong != "" {
		t.Error(wrong)
	}
	b.click("#ended-link")
	other := b.window(issuer.URL)
	other.follow(`[data-account="pia"]`, "#sign-out")
	other.until(`document.querySelector('main h2')?.textContent === 'You are signed in'`)
	other.picture("cms-signin-5-back")
	b.saved()
	b.until(`document.getElementById('ended').hidden && document.getElementById('draft-title').value === 'Spring, long after lunch'`)
	if title := s.draftTitle(t); title != "Spring, long after lunch" {
		t.Errorf("the draft is called %q", title)
	}

	// Somebody else signs in meanwhile: what isn't saved is not saved in their name, and is there when pia comes back.
	b.loseSession()
	b.fill("#draft-title", "Only pia's")
	b.until(`!document.getElementById('ended').hidden`)
	b.click("#ended-link")
	other = b.window(issuer.URL)
	other.follow(`[data-account="ed"]`, "#sign-out")
	b.until(`document.getElementById('caller').textContent === 'ed@example.com' && document.getElementById('draft-title').value === 'Spring, long after lunch'`)
	b.click("#sign-out")
	b.until(asked)
	other.until(`document.getElementById('ended-text').textContent === 'Your session has ended. Sign in again to go on.'`)
	if title := s.draftTitle(t); title != "Spring, long after lunch" {
		t.Errorf("ed saved %q", title)
	}
	b.follow("#sign-in-link", `[data-account="pia"]`, "#draft-title")
	b.until(`document.getElementById('draft-title')?.value === "Only pia's"`)
	b.saved()
	if title := s.draftTitle(t); title != "Only pia's" {
		t.Errorf("the draft is called %q", title)
	}
}

// TestSession holds that a cookie counts for the pages of this site alone, and that without an issuer there is no sign-in.
func TestSession(t *testing.T) {
	s, issuer := serveSignIn(t)
	base := strings.TrimSuffix(s.url, "/cms/")
	session := "__Host-homefeed-session=" + oidctest.Sign(t, jose.ES256, issuer.Keys[0], issuer.Claims(map[string]any{"aud": "cms", "roles": "editor"}))
	for name, c := range map[string]struct {
		headers []string
		status  int
		want    string
	}{
		"a page of this site":     {[]string{"Cookie", session, "Sec-Fetch-Site", "same-origin"}, 200, `"creator":"ann"`},
		"a page of another site":  {[]string{"Cookie", session, "Sec-Fetch-Site", "cross-site"}, 403, "CROSS_ORIGIN"},
		"a page of a neighbour":   {[]string{"Cookie", session, "Sec-Fetch-Site", "same-site"}, 403, "CROSS_ORIGIN"},
		"a page of another one":   {[]string{"Cookie", session, "Origin", "https://evil.example"}, 403, "CROSS_ORIGIN"},
		"nobody":                  {[]string{"Sec-Fetch-Site", "same-origin"}, 401, "TOKEN_MISSING"},
		"somebody without a role": {[]string{"Cookie", "__Host-homefeed-session=" + oidctest.Sign(t, jose.ES256, issuer.Keys[0], issuer.Claims(map[string]any{"aud": "cms"}))}, 403, "ROLE_NEEDED"},
		"a token of programs":     {[]string{"Cookie", "__Host-homefeed-session=" + oidctest.Sign(t, jose.ES256, issuer.Keys[0], issuer.Claims(map[string]any{"roles": "editor"}))}, 401, "TOKEN_INVALID"},
	} {
		status, body := send(t, "POST", base+server.Path+"CreateDraft", `{"draft":{"title":"Mine"}}`, append(c.headers, "Content-Type", "application/json")...)
		if status != c.status || !strings.Contains(strings.ReplaceAll(body, `": "`, `":"`), c.want) {
			t.Errorf("%s: %d %s, want %d and %s", name, status, body, c.status, c.want)
		}
	}
	if status, body := send(t, "GET", s.url+"entry", ""); status != 200 || !strings.Contains(body, `"signIn":true`) {
		t.Errorf("entry: %d %s", status, body)
	}
	without := serveFor(t, func(string) (identity.Verifier, page.Config) { return tokens{}, page.Config{} })
	if status, body := send(t, "GET", without.url+"entry", ""); status != 200 || body != `{"people":[],"signIn":false}` {
		t.Errorf("entry without an issuer: %d %s", status, body)
	}
	for _, route := range []string{"GET new", "GET callback", "POST end"} {
		method, path, _ := strings.Cut(route, " ")
		if status, body := send(t, method, without.url+"session/"+path, ""); status != 404 {
			t.Errorf("%s without an issuer: %d %s", route, status, body)
		}
	}
}

func send(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
