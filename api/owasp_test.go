package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/go-jose/go-jose/v4"

	"homefeed/api"
	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/cmspb"
	"homefeed/api/cms/locallog"
	"homefeed/api/cms/server"
	"homefeed/api/homepb"
	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
	"homefeed/api/identity/oidctest"
	"homefeed/api/placement"
)

// The OWASP list of API risks (2023) as tests of every route, with real tokens over a real connection. API7 has no row:
// nothing here fetches an address that a caller names; nor has API10: rows that are broken are home_test's.

// target is a route and how it is asked for properly. A route without one fails.
type target struct {
	path   string   // with the caller's own id
	others string   // API1: the same with somebody else's id, which a listener may not; empty: the token says who
	body   string   // a good one
	may    []string // API5: who may; everybody else may not
	extra  string   // API3: a body with fields that are not the caller's to set; refused or without effect, as wants says
	wants  string   // of the answer to extra
}

// attacked has a target a route of /v1/.
func attacked() map[string]target {
	good := `{"events":[{"id":"e1","time":"2026-03-04T05:00:00Z","songPlayed":{"track":"t1"}}]}`
	listeners := []string{"ann", "bob"}
	return map[string]target{
		"GET /v1/home":                         {path: "/v1/home?user=bob", may: listeners},
		"GET /v1/home/shelves/{shelf}":         {path: "/v1/home/shelves/discover?user=bob", may: listeners},
		"GET /v1/users/{user}/shelves/{shelf}": {path: "/v1/users/ann/shelves/discover", others: "/v1/users/bob/shelves/discover", may: []string{"viewer", "editor", "publisher", "admin"}},
		"DELETE /v1/users/{user}":              {path: "/v1/users/ann", others: "/v1/users/bob", may: []string{"ann", "admin"}},
		"GET /v1/users/{user}:export":          {path: "/v1/users/ann:export", others: "/v1/users/bob:export", may: []string{"ann", "admin"}},
		"POST /v1/events": {path: "/v1/events", body: good, may: append(listeners, "importer"),
			extra: `{"events":[{"id":"e2","user":"bob","time":"2026-03-04T05:00:00Z","songPlayed":{"track":"t1"}},
				{"id":"e3","admin":true,"time":"2026-03-04T05:00:00Z","songPlayed":{"track":"t1"}}],"roles":["admin"]}`,
			wants: `"field":"user".*want a UserEvent in JSON`},
	}
}

// attackedCMS has one a method of the CMS.
func attackedCMS() map[string]target {
	viewers, editors, publishers := []string{"viewer", "editor", "publisher", "admin"}, []string{"editor", "publisher", "admin"}, []string{"publisher", "admin"}
	nowhere := `{"name":"drafts/99"}`
	all := map[string]target{
		"GetCaller": {may: viewers, extra: `{"name":"root","roles":["admin"]}`, wants: `"name":"viewer"`}, "ListShelves": {may: viewers},
		"SampleListeners": {may: viewers}, "ListDrafts": {may: viewers}, "GetDraft": {may: viewers, body: nowhere}, "CheckDraft": {may: viewers, body: nowhere},
		"CreateDraft": {may: editors,
			extra: `{"draft":{"name":"drafts/77","title":"Mine","creator":"root","updater":"root","etag":"x","baseVersion":"9"}}`,
			wants: `"name":"drafts/draft-1".*"etag":"1",.*"creator":"editor",.*"updater":"editor"`},
		"UpdateDraft": {may: editors, body: `{"draft":{"name":"drafts/99","title":"x"}}`,
			extra: `{"draft":{"name":"drafts/99","creator":"root"},"updateMask":"creator"}`, wants: `the rest is the server's`},
		"DeleteDraft": {may: editors, body: nowhere}, "PublishDraft": {may: publishers, body: nowhere},
		"ListVersions": {may: viewers}, "GetVersion": {may: viewers, body: `{"name":"versions/published"}`},
		"RollBack": {may: publishers, body: `{"name":"versions/99"}`}, "Compare": {may: viewers, body: `{"from":"versions/0","to":"versions/0"}`},
		"ListAuditEntries": {may: viewers}, "PreviewHome": {may: viewers, body: `{"listener":"ann","source":"versions/0"}`},
	}
	for name, tgt := range all {
		tgt.path = server.Path + name
		if tgt.body == "" {
			tgt.body = "{}"
		}
		all[name] = tgt
	}
	return all
}

// fortress is all of homefeed's HTTP with real tokens.
type fortress struct {
	url    string
	issuer *oidctest.Issuer
	routes map[string]target // by "METHOD path"
}

func newFortress(t *testing.T) *fortress {
	t.Helper()
	issuer := oidctest.New(t, now)
	clock := func() time.Time { return now }
	verifier, err := oidc.New(t.Context(), oidc.Config{Issuer: issuer.URL, Audience: "homefeed", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s := &rows{}
	s.put(t, userKey(t, "ann"), "discover", now, nil, "of-ann")
	s.put(t, userKey(t, "bob"), "discover", now, nil, "of-bob")
	limits := api.Limits{ListenerRate: 1e6, ServiceRate: 1e6}
	v1 := newAPI(t, api.Config{Rows: s, Events: &songsPlayed{}, Verifier: verifier, Limits: limits})
	log, err := locallog.Open("cms", locallog.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	desk, err := cms.NewDesk(cms.Config{Log: log, Start: placement.Default(testShelves()), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	editors, err := server.New(server.Config{
		Desk: desk, Verifier: verifier, Rate: 1e6, Now: clock, Checker: check.Checker{
			Shelves: testShelves(),
			Preview: func(context.Context, check.View, placement.Placements) (*homepb.Home, error) {
				return &homepb.Home{}, nil
			},
			Sample: func(context.Context, int) ([]string, error) { return nil, nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", v1)
	mux.Handle(server.Path, editors)
	f := &fortress{issuer: issuer, routes: map[string]target{}}
	declared := attacked()
	for _, route := range api.RouteNames(v1) {
		f.add(t, route, declared, route)
	}
	methods := cmspb.File_api_cms_cmspb_cms_proto.Services().ByName("Cms").Methods()
	ofCMS := attackedCMS()
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		f.add(t, "POST "+server.Path+name, ofCMS, name)
	}
	if len(declared)+len(ofCMS) > 0 {
		t.Errorf("targets of no route: %v %v", slices.Collect(maps.Keys(declared)), slices.Collect(maps.Keys(ofCMS)))
	}
	ts := httptest.NewUnstartedServer(mux)
	ts.Config = api.Server("", mux, nil)
	ts.Start()
	t.Cleanup(ts.Close)
	f.url = ts.URL
	return f
}

func (f *fortress) add(t *testing.T, route string, targets map[string]target, name string) {
	t.Helper()
	tgt, ok := targets[name]
	if !ok {
		t.Errorf("%s: has no row in the table of attacks", route)
	}
	f.routes[route] = tgt
	delete(targets, name)
}

// token is a good one: a listener's, or a service's of the role.
func (f *fortress) token(t *testing.T, who string) string {
	claims := map[string]any{"sub": who}
	if slices.Contains(identity.Roles(), identity.Role(who)) {
		claims["roles"] = []string{who}
	}
	return oidctest.Sign(t, jose.ES256, f.issuer.Keys[0], f.issuer.Claims(claims))
}

// leak is what no answer may have: stacks, files, addresses of ours, and words of the errors behind errors.
var leak = regexp.MustCompile(`goroutine|\.go:\d|panic|runtime error|homefeed/|jose|x509|pebble|127\.0\.0\.1`)

// send asks, and holds what every answer must be: safe headers, errors in form, and nothing of the inside.
func (f *fortress) send(t *testing.T, method, path, token, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if answer.StatusCode == http.StatusRequestHeaderFieldsTooLarge { // the server's own, before any handler
		return answer.StatusCode, string(text)
	}
	h := answer.Header
	if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") ||
		h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Server") != "" {
		t.Errorf("%s %s: headers %v", method, path, h)
	}
	if cc := h.Get("Cache-Control"); !strings.Contains(cc, "no-store") && !strings.Contains(cc, "private") {
		t.Errorf("%s %s: Cache-Control %q lets others keep it", method, path, cc)
	}
	if answer.StatusCode >= 400 {
		if len(text) > 0 && !json.Valid(text) || len(text) == 0 && h.Get("Allow")+h.Get("Accept-Post") == "" {
			t.Errorf("%s %s: %d is not in form: %s", method, path, answer.StatusCode, text)
		}
		if found := leak.Find(text); found != nil {
			t.Errorf("%s %s: %d tells %q: %s", method, path, answer.StatusCode, found, text)
		}
	}
	return answer.StatusCode, string(text)
}

// TestOWASP attacks every route in every way of the list.
func TestOWASP(t *testing.T) {
	f := newFortress(t)
	key, claims := f.issuer.Keys[0], f.issuer.Claims
	public, err := json.Marshal(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := f.token(t, "admin")
	forged := map[string]string{ // API2
		"none at all": "", "no token": "x", "the algorithm none": oidctest.Unsigned(t, claims(map[string]any{"roles": "admin"})),
		"another key":         oidctest.Sign(t, jose.ES256, oidctest.NewKey(t, "first"), claims(nil)),
		"the public key":      oidctest.Sign(t, jose.HS256, public, claims(nil)),
		"expired":             oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"exp": now.Add(-time.Hour).Unix()})),
		"never expires":       oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"exp": nil})),
		"for another service": oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"aud": "other"})),
		"another issuer":      oidctest.Sign(t, jose.ES256, key, claims(map[string]any{"iss": "https://evil.example"})),
		"changed":             good[:len(good)-4] + "AAAA",
		"another's claims":    good[:strings.Index(good, ".")+1] + strings.Split(f.token(t, "bob"), ".")[1] + good[strings.LastIndex(good, "."):],
		"of development":      "dev-service:admin",
	}
	everybody := []string{"ann", "bob", "viewer", "editor", "publisher", "admin", "importer"}
	for _, route := range slices.Sorted(maps.Keys(f.routes)) {
		method, _, _ := strings.Cut(route, " ")
		tgt := f.routes[route]
		expect := func(attack string, got int, body string, want ...int) {
			t.Helper()
			if !slices.Contains(want, got) {
				t.Errorf("%s: %s: %d, want %v: %s", route, attack, got, want, body)
			}
		}
		for name, token := range forged {
			got, body := f.send(t, method, tgt.path, token, tgt.body)
			expect("API2 a token: "+name, got, body, 401)
		}
		for _, who := range everybody { // API5, and API1 where the id is in the path
			got, body := f.send(t, method, tgt.path, f.token(t, who), tgt.body)
			if !slices.Contains(tgt.may, who) {
				expect("API5 as "+who, got, body, 403)
			} else if got == 401 || got == 403 || got >= 500 {
				t.Errorf("%s: as %s, who may: %d %s", route, who, got, body)
			}
		}
		if tgt.others != "" {
			got, body := f.send(t, method, tgt.others, f.token(t, "ann"), tgt.body)
			expect("API1 somebody else's", got, body, 403)
		}
		may := f.token(t, tgt.may[0])
		if strings.HasPrefix(tgt.path, "/v1/home") { // API1: ?user= means nothing
			if _, body := f.send(t, method, tgt.path, f.token(t, "ann"), ""); !strings.Contains(body, "of-ann") && !strings.Contains(body, "LEFT_OUT") || strings.Contains(body, "of-bob") {
				t.Errorf("%s: API1 shows what is not ann's: %s", route, body)
			}
		}
		if tgt.extra != "" {
			_, body := f.send(t, method, tgt.path, may, tgt.extra)
			if !regexp.MustCompile(tgt.wants).MatchString(strings.ReplaceAll(body, `": "`, `":"`)) { // JSON's blanks vary
				t.Errorf("%s: API3 with fields that are not the caller's: %s, want %s", route, body, tgt.wants)
			}
		}
		if tgt.body != "" { // API4 and API8
			got, body := f.send(t, method, tgt.path, may, `{"events":[`+strings.Repeat(" ", 2<<20)+`]}`)
			expect("API4 a body of 2 MiB", got, body, 400, 413, 429)
			for _, broken := range []string{"{", "[]", "null", `"x"`, strings.Repeat(`{"a":`, 10_000), "\x00\xff", `{"events":{},"name":[],"pageSize":"x","draft":7,"from":7,"listener":7}`} {
				got, body := f.send(t, method, tgt.path, may, broken)
				if got < 200 || got >= 500 {
					t.Errorf("%s: API8 the body %.20q: %d %s", route, broken, got, body)
				}
			}
			got, body = f.send(t, method, tgt.path, may, tgt.body, "Content-Type", "text/html")
			expect("API8 another type", got, body, 415)
		}
		got, body := f.send(t, method, tgt.path, may, tgt.body, "X-Large", strings.Repeat("x", 32<<10))
		expect("API4 headers of 32 KiB", got, body, 431)
		for _, other := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} { // API9
			if other == method || method == "POST" && other == "GET" && strings.HasPrefix(tgt.path, server.Path) {
				continue // GET of a method without effects is the protocol's
			}
			if _, declared := f.routes[other+strings.TrimPrefix(route, method)]; declared {
				continue
			}
			got, body := f.send(t, other, tgt.path, may, "")
			expect("API9 the method "+other, got, body, 404, 405, 415, 501)
		}
	}
	for _, path := range []string{ // API9
		"/", "/v1", "/v1/", "/v2/home", "/v1/home/", "/v1/users", "/v1/users/ann/", "/v1/users/ann:erase", "/v1/admin", "/metrics", "/healthz", "/debug/pprof/",
		"/v1/users/ann/shelves/discover/x", server.Path + "Nothing", server.Path, "/.git/config",
	} {
		if got, body := f.send(t, "GET", path, good, ""); got != 404 && got != 501 && got != 400 {
			t.Errorf("API9 %s: %d %s", path, got, body)
		}
	}
}

// TestOWASPConsumption is API4 and API6: one caller gets no more than a share, whatever they ask for.
func TestOWASPConsumption(t *testing.T) {
	a := newAPI(t, api.Config{Events: &songsPlayed{}, Limits: api.Limits{ListenerRate: 1, Burst: time.Second}})
	for route, tgt := range attacked() {
		if !slices.Contains(tgt.may, "ann") {
			continue
		}
		method, _, _ := strings.Cut(route, " ")
		var last int
		for range 3 {
			last = call(a, method, tgt.path, "listener:ann", tgt.body, "Content-Type", "application/json").Code
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("%s: the third request within a second: %d, want 429", route, last)
		}
	}
	for name, path := range map[string]string{"a page": "/v1/home?page_size=1000000000", "cards": "/v1/home?card_size=2147483647"} {
		fresh := newAPI(t, api.Config{})
		if w := call(fresh, "GET", path, "listener:ann", ""); w.Code != 200 {
			t.Errorf("%s larger than allowed: %d, want the most that is allowed: %s", name, w.Code, w.Body)
		}
	}
	many := `{"events":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1001), ",") + `]}`
	if w := call(newAPI(t, api.Config{}), "POST", "/v1/events", "listener:ann", many, "Content-Type", "application/json"); w.Code != 400 {
		t.Errorf("1,001 events: %d", w.Code)
	}
	if got := fmt.Sprint(call(newAPI(t, api.Config{}), "GET", "/v1/home?page_token="+strings.Repeat("A", 8<<10), "listener:ann", "").Code); got != "400" {
		t.Errorf("a page token of 8 KiB: %s", got)
	}
}
