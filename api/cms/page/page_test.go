package page_test

import (
	"net/http/httptest"
	"testing"

	"homefeed/api/cms/page"
)

// TestRate holds that the pages are not to be had without end by somebody who is not even known.
func TestRate(t *testing.T) {
	pages, err := page.New(page.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1_000_000 {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest("GET", "/cms/entry", nil))
		switch {
		case w.Code == 429 && (i < 2000 || w.Header().Get("Retry-After") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff"):
			t.Fatalf("request %d: %d %v", i, w.Code, w.Header())
		case w.Code == 429:
			return
		case w.Code != 200:
			t.Fatalf("request %d: %d", i, w.Code)
		}
	}
	t.Error("a million requests were answered at once")
}
