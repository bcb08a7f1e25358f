package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"homefeed/api"
)

// access is who may call what: a row a route, a column a kind of caller.
var access = map[string]map[string]int{
	"GET /v1/home": {
		"": 401, "bad": 401, "expired": 401, "away": 503, "listener:ann": 200,
		"service:viewer": 403, "service:editor": 403, "service:admin": 403, "service:importer": 403, "service:other": 403,
	},
	"GET /v1/home/shelves/{shelf}": {
		"": 401, "bad": 401, "expired": 401, "away": 503, "listener:ann": 200,
		"service:viewer": 403, "service:editor": 403, "service:admin": 403, "service:importer": 403, "service:other": 403,
	},
	"GET /v1/users/{user}/shelves/{shelf}": {
		"": 401, "bad": 401, "expired": 401, "away": 503, "listener:ann": 403,
		"service:viewer": 200, "service:editor": 200, "service:admin": 200, "service:importer": 403, "service:other": 403,
	},
	"DELETE /v1/users/{user}": {
		"": 401, "bad": 401, "expired": 401, "away": 503, "listener:ann": 200, "listener:bob": 403,
		"service:viewer": 403, "service:editor": 403, "service:admin": 200, "service:importer": 403, "service:other": 403,
	},
	"GET /v1/users/{user}:export": {
		"": 401, "bad": 401, "expired": 401, "away": 503, "listener:ann": 200, "listener:bob": 403,
		"service:viewer": 403, "service:editor": 403, "service:admin": 200, "service:importer": 403, "service:other": 403,
	},
	"POST /v1/events": {
		"": 401, "bad": 401, "expired": 401, "away": 503, "listener:ann": 200,
		"service:viewer": 403, "service:editor": 403, "service:admin": 403, "service:importer": 200, "service:other": 403,
	},
}

func TestAccess(t *testing.T) {
	a := newAPI(t, api.Config{Events: &songsPlayed{}})
	fill := strings.NewReplacer("{user}", "ann", "{shelf}", "discover")
	routes := api.RouteNames(a)
	if len(routes) != len(access) {
		t.Errorf("there are %d routes and %d rows in the table", len(routes), len(access))
	}
	for _, route := range routes {
		row, ok := access[route]
		if !ok {
			t.Errorf("%s: has no row in the table", route)
		}
		method, path, _ := strings.Cut(route, " ")
		for token, want := range row {
			w := call(a, method, fill.Replace(path), token, `{"events":[{}]}`, "Content-Type", "application/json")
			if w.Code != want {
				t.Errorf("%s as %q: %d, want %d: %s", route, token, w.Code, want, w.Body)
			}
			if w.Code == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s as %q: 401 without WWW-Authenticate", route, token)
			}
		}
	}
}

// errorBody is AIP-193's form.
type errorBody struct {
	Error struct {
		Code            int
		Message, Status string
		Details         []map[string]any
	}
}

func decodeError(t *testing.T, body []byte) errorBody {
	t.Helper()
	var e errorBody
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("not an error in AIP-193's form: %v: %s", err, body)
	}
	return e
}

func TestErrorForm(t *testing.T) {
	boom := &rows{before: nil}
	a := newAPI(t, api.Config{Rows: boom})
	big := `{"events":[` + strings.Repeat(" ", 1<<20) + `]}`
	json := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name, method, path, token, body string
		headers                         []string
		code                            int
		status, reason                  string
	}{
		{"unknown route", "GET", "/v1/nothing", "", "", nil, 404, "NOT_FOUND", "ROUTE_UNKNOWN"},
		{"unknown verb", "GET", "/v1/users/ann:explode", "", "", nil, 404, "NOT_FOUND", "ROUTE_UNKNOWN"},
		{"unknown shelf", "GET", "/v1/users/ann/shelves/nothing", "service:viewer", "", nil, 404, "NOT_FOUND", "SHELF_UNKNOWN"},
		{"bad user", "GET", "/v1/users/a%20b/shelves/discover", "service:viewer", "", nil, 400, "INVALID_ARGUMENT", "USER_INVALID"},
		{"bad market", "GET", "/v1/home?market=sweden", "listener:ann", "", nil, 400, "INVALID_ARGUMENT", "MARKET_INVALID"},
		{"wrong method", "POST", "/v1/home", "listener:ann", "", nil, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"},
		{"no token", "GET", "/v1/home", "", "", nil, 401, "UNAUTHENTICATED", "TOKEN_MISSING"},
		{"bad token", "GET", "/v1/home", "bad", "", nil, 401, "UNAUTHENTICATED", "TOKEN_INVALID"},
		{"expired token", "GET", "/v1/home", "expired", "", nil, 401, "UNAUTHENTICATED", "TOKEN_EXPIRED"},
		{"issuer away", "GET", "/v1/home", "away", "", nil, 503, "UNAVAILABLE", "IDENTITY_UNAVAILABLE"},
		{"wrong role", "GET", "/v1/users/ann/shelves/discover", "service:importer", "", nil, 403, "PERMISSION_DENIED", "ROLE_NEEDED"},
		{"service at Home", "GET", "/v1/home", "service:admin", "", nil, 403, "PERMISSION_DENIED", "LISTENER_NEEDED"},
		{"content type", "POST", "/v1/events", "listener:ann", "{}", []string{"Content-Type", "text/plain"}, 415, "INVALID_ARGUMENT", "CONTENT_TYPE"},
		{"no content type", "POST", "/v1/events", "listener:ann", "{}", nil, 415, "INVALID_ARGUMENT", "CONTENT_TYPE"},
		{"not JSON", "POST", "/v1/events", "listener:ann", "{", json, 400, "INVALID_ARGUMENT", "BATCH_INVALID"},
		{"no events", "POST", "/v1/events", "listener:ann", "{}", json, 400, "INVALID_ARGUMENT", "BATCH_INVALID"},
		{"too big", "POST", "/v1/events", "listener:ann", big, json, 413, "INVALID_ARGUMENT", "BODY_TOO_LARGE"},
		{"not protobuf", "POST", "/v1/events", "listener:ann", "{}", []string{"Content-Type", "application/x-protobuf"}, 400, "INVALID_ARGUMENT", "BATCH_INVALID"},
	} {
		w := call(a, c.method, c.path, c.token, c.body, c.headers...)
		e := decodeError(t, w.Body.Bytes())
		if w.Code != c.code || e.Error.Code != c.code || e.Error.Status != c.status || e.Error.Message == "" {
			t.Errorf("%s: %d %s, want %d %s", c.name, w.Code, w.Body, c.code, c.status)
		}
		if len(e.Error.Details) == 0 || e.Error.Details[0]["reason"] != c.reason || e.Error.Details[0]["domain"] != "homefeed" {
			t.Errorf("%s: details %v, want reason %s", c.name, e.Error.Details, c.reason)
		}
		if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", c.name, w.Header())
		}

		w = call(a, c.method, c.path, c.token, c.body, append([]string{"Accept", "application/x-protobuf"}, c.headers...)...)
		s := new(status.Status)
		if err := proto.Unmarshal(w.Body.Bytes(), s); err != nil || w.Code != c.code || s.Message != e.Error.Message {
			t.Errorf("%s as protobuf: %d %v, %v", c.name, w.Code, s, err)
		}
	}
	if allow := call(a, "DELETE", "/v1/home", "", "").Header().Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow = %q, want GET, HEAD", allow)
	}
	if allow := call(a, "GET", "/v1/users/ann", "", "").Header().Get("Allow"); allow != "DELETE" {
		t.Errorf("Allow = %q, want DELETE", allow)
	}
	if allow := call(a, "DELETE", "/v1/users/ann:export", "", "").Header().Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow = %q, want GET, HEAD", allow)
	}
	if allow := call(a, "GET", "/v1/events", "", "").Header().Get("Allow"); allow != "POST" {
		t.Errorf("Allow = %q, want POST", allow)
	}
}

func TestServerLimits(t *testing.T) {
	s := api.Server(":0", http.NotFoundHandler(), nil)
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", s)
	}
}
