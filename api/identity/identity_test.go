package identity_test

import (
	"net/http/httptest"
	"testing"

	"homefeed/api/identity"
)

func TestHas(t *testing.T) {
	includes := map[identity.Role][]identity.Role{
		identity.Viewer:    {identity.Viewer},
		identity.Editor:    {identity.Editor, identity.Viewer},
		identity.Publisher: {identity.Publisher, identity.Editor, identity.Viewer},
		identity.Admin:     {identity.Admin, identity.Publisher, identity.Editor, identity.Viewer},
		identity.Importer:  {identity.Importer},
		"other":            nil,
	}
	for role, want := range includes {
		allowed := map[identity.Role]bool{}
		for _, w := range want {
			allowed[w] = true
		}
		for _, asked := range identity.Roles() {
			if got := (identity.Identity{Service: true, Roles: []identity.Role{role}}).Has(asked); got != allowed[asked] {
				t.Errorf("a %s as %s: %v", role, asked, got)
			}
		}
	}
	if (identity.Identity{User: "ann"}).Has(identity.Viewer) {
		t.Error("a listener has a role")
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer  abc ": "abc", "Bearer a b": "a b",
		"": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "abc": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		got, err := identity.Bearer(r)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", header, got, err, want)
		}
	}
}
