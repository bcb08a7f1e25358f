package homequery_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/apierror"
	"homefeed/api/home"
	"homefeed/api/homequery"
	"homefeed/api/pagetoken"
)

// TestOpen holds that a token opens for the request that it continues, and for no other listener, shelf or market.
func TestOpen(t *testing.T) {
	pages, err := pagetoken.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	queryOf := func(target string) *homequery.Query {
		q, err := homequery.Of(httptest.NewRequest("GET", target, nil))
		if err != nil {
			t.Fatal(err)
		}
		return &q
	}
	first := queryOf("/v1/home?market=SE")
	token, err := pages.Seal(first.Binding("ann", "discover"), &pagetoken.Token{Version: "7", First: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ market, user, shelf, token string }{
		"the same":         {"SE", "ann", "discover", token},
		"another market":   {"NO", "ann", "discover", token},
		"another listener": {"SE", "bob", "discover", token},
		"another shelf":    {"SE", "ann", "", token},
		"made up":          {"SE", "ann", "discover", "abc"},
	} {
		q := queryOf("/v1/home?market=" + tt.market + "&page_token=" + tt.token)
		got, err := q.Open(pages, tt.user, tt.shelf)
		if name == "the same" {
			if err != nil || got.Version != "7" || got.First != 3 {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		var refused *apierror.Error
		if !errors.As(err, &refused) || refused.Reason != "PAGE_TOKEN_INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPageOf(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	got := homequery.PageOf(&pagetoken.Token{
		Shelves: []string{"a"}, Shown: []uint32{9}, AsOf: homequery.Generations(map[string]time.Time{"b": at}), First: 2,
	})
	want := home.Page{Skip: map[string]bool{"a": true}, Shown: map[uint32]bool{9: true}, AsOf: map[string]time.Time{"b": at}, First: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
