package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"homefeed/api"
	"homefeed/api/identity"
	"homefeed/api/rowcache"
	"homefeed/shelves/store"
)

// TestRate holds that one caller can't take what is there for others, and that waiting as long as told helps.
func TestRate(t *testing.T) {
	clock := now
	a := newAPI(t, api.Config{Now: func() time.Time { return clock },
		Limits: api.Limits{ListenerRate: 2, ServiceRate: 1, Burst: 2 * time.Second}})
	ask := func(token string) int { return call(a, "GET", "/v1/home", token, "").Code }
	for i := range 4 {
		if code := ask("listener:ann"); code != 200 {
			t.Fatalf("request %d of a burst of 4: %d", i, code)
		}
	}
	w := call(a, "GET", "/v1/home", "listener:ann", "")
	e := decodeError(t, w.Body.Bytes())
	if w.Code != 429 || e.Error.Status != "RESOURCE_EXHAUSTED" || e.Error.Details[0]["reason"] != "RATE_EXCEEDED" || w.Header().Get("Retry-After") != "1" {
		t.Errorf("beyond the burst: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if code := ask("listener:bob"); code != 200 {
		t.Errorf("another listener: %d", code)
	}
	for range 2 {
		if code := ask("service:viewer"); code != 403 {
			t.Errorf("a service within its own rate: %d", code)
		}
	}
	if code := ask("service:viewer"); code != 429 {
		t.Errorf("a service beyond it: %d", code)
	}
	clock = clock.Add(time.Second)
	if code := ask("listener:ann"); code != 200 {
		t.Errorf("after Retry-After: %d", code)
	}
}

// full is an API whose only place for a Home is taken, by bob's; ann's is in memory. leave gives the place back.
func full(t *testing.T, c api.Config) (a *api.API, leave func()) {
	t.Helper()
	s := &rows{}
	s.put(t, userKey(t, "ann"), "discover", now, nil, "a")
	s.put(t, userKey(t, "bob"), "discover", now, nil, "b")
	cached, err := rowcache.New(s, rowcache.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cached.Close)
	c.Rows, c.Limits = cached, api.Limits{Homes: 1}
	a = newAPI(t, c)
	ask := func(listener string) {
		if w := call(a, "GET", "/v1/home", "listener:"+listener, ""); w.Code != 200 {
			t.Errorf("%s, while there was a place: %d %s", listener, w.Code, w.Body)
		}
	}
	ask("ann")
	entered, left := make(chan struct{}), make(chan struct{})
	s.set(func(_ context.Context, key store.Key) error {
		if strings.HasSuffix(string(key), "bob") {
			close(entered)
			<-left
		}
		return nil
	})
	var inside sync.WaitGroup
	inside.Go(func() { ask("bob") })
	<-entered
	leave = sync.OnceFunc(func() {
		close(left)
		inside.Wait()
		s.set(nil)
	})
	t.Cleanup(leave)
	return a, leave
}

// TestOverload holds that Homes beyond those that can be made at once are refused at once, in the form that was asked
// for, and that a Home in memory is not one of them.
func TestOverload(t *testing.T) {
	reg := prometheus.NewRegistry()
	a, leave := full(t, api.Config{Registerer: reg})
	ask := func(listener string, headers ...string) *httptest.ResponseRecorder {
		return call(a, "GET", "/v1/home", "listener:"+listener, "", headers...)
	}
	w := ask("cyd")
	if e := decodeError(t, w.Body.Bytes()); w.Code != 503 || w.Header().Get("Retry-After") != "1" ||
		e.Error.Status != "UNAVAILABLE" || !strings.Contains(w.Body.String(), `"OVERLOADED"`) {
		t.Errorf("without a place: %d %v %s", w.Code, w.Header(), w.Body)
	}
	refused := new(status.Status)
	w = ask("cyd", "Accept", "application/x-protobuf")
	if err := proto.Unmarshal(w.Body.Bytes(), refused); err != nil || w.Code != 503 || len(refused.Details) != 2 {
		t.Errorf("without a place, as protobuf: %d %v %v", w.Code, refused, err)
	}
	if w := ask("ann"); w.Code != 200 {
		t.Errorf("from memory: %d %s", w.Code, w.Body)
	}
	leave()
	if w := ask("cyd"); w.Code != 200 {
		t.Errorf("when there is a place again: %d %s", w.Code, w.Body)
	}
	want := `# HELP homefeed_api_homes_refused_total Homes refused because as many were being made as can be.
# TYPE homefeed_api_homes_refused_total counter
homefeed_api_homes_refused_total 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "homefeed_api_homes_refused_total"); err != nil {
		t.Error(err)
	}
}

// signatures is a Verifier of "listener:<id>" that counts how often it was asked.
type signatures struct {
	tokens
	asked atomic.Int64
}

func (s *signatures) Verify(ctx context.Context, r *http.Request) (identity.Identity, error) {
	s.asked.Add(1)
	who, err := s.tokens.Verify(ctx, r)
	who.Until = now.Add(time.Hour)
	return who, err
}

// TestOverloadAsksForNoSignature holds that while there is no place no token is verified that is not remembered, and that
// whoever is known, or has no token, is answered as ever.
func TestOverloadAsksForNoSignature(t *testing.T) {
	verifier := &signatures{}
	remembering, err := identity.Remember(verifier, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remembering.Close)
	a, leave := full(t, api.Config{Verifier: remembering})
	ask := func(path, token string) int { return call(a, "GET", path, token, "").Code }
	before := verifier.asked.Load()
	for _, c := range []struct {
		name, path, token string
		status            int
	}{
		{"unknown", "/v1/home", "listener:cyd", 503},
		{"unknown, of one shelf", "/v1/home/shelves/discover", "listener:cyd", 503},
		{"known, and in memory", "/v1/home", "listener:ann", 200},
		{"known, and not in memory", "/v1/home/shelves/discover", "listener:ann", 503},
		{"none", "/v1/home", "", 401},
	} {
		if code := ask(c.path, c.token); code != c.status {
			t.Errorf("%s: %d, want %d", c.name, code, c.status)
		}
	}
	if n := verifier.asked.Load() - before; n != 0 {
		t.Errorf("%d tokens were verified while there was no place", n)
	}
	leave()
	if code := ask("/v1/home", "listener:cyd"); code != 200 {
		t.Errorf("when there is a place again: %d", code)
	}
}
