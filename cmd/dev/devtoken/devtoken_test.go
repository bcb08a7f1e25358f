package devtoken_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/identity"
	"homefeed/cmd/dev/devtoken"
)

func TestVerify(t *testing.T) {
	service := func(r identity.Role) identity.Identity {
		return identity.Identity{Service: true, Roles: []identity.Role{r}}
	}
	for token, want := range map[string]identity.Identity{
		"dev-user:ann":         {User: "ann"},
		"dev-user:a.b-c_d9":    {User: "a.b-c_d9"},
		"dev-service:viewer":   service(identity.Viewer),
		"dev-service:editor":   service(identity.Editor),
		"dev-service:admin":    service(identity.Admin),
		"dev-service:importer": service(identity.Importer),
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		got, err := devtoken.Verifier{}.Verify(t.Context(), r)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", token, err, diff)
		}
	}
	for _, token := range []string{
		"dev-user:", "dev-user:a b", "dev-user:a/b", "dev-user:" + strings.Repeat("a", 65),
		"dev-service:", "dev-service:root", "ann", "eyJhbGciOiJub25lIn0.e30.",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if got, err := (devtoken.Verifier{}).Verify(t.Context(), r); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %+v, %v; want ErrInvalid", token, got, err)
		}
	}
	if _, err := (devtoken.Verifier{}).Verify(t.Context(), httptest.NewRequest("GET", "/", nil)); !errors.Is(err, identity.ErrNoToken) {
		t.Errorf("without a header: %v, want ErrNoToken", err)
	}
}
