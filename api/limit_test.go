package api_test

import (
	"testing"
	"time"

	"homefeed/api"
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
