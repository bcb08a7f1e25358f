package devtoken_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/api/identity"
	"homefeed/cmd/dev/devtoken"
)

func TestVerify(t *testing.T) {
	service := func(r identity.Role, name string) identity.Identity {
		return identity.Identity{Service: true, Roles: []identity.Role{r}, Name: name}
	}
	for raw, want := range map[string]identity.Identity{
		"dev-user:ann":           {User: "ann"},
		"dev-user:a.b-c_d9":      {User: "a.b-c_d9"},
		"dev-service:viewer":     service(identity.Viewer, "dev viewer"),
		"dev-service:editor":     service(identity.Editor, "dev editor"),
		"dev-service:admin":      service(identity.Admin, "dev admin"),
		"dev-service:editor:ann": service(identity.Editor, "ann"),
		"dev-service:importer":   service(identity.Importer, "dev importer"),
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+raw)
		got, err := devtoken.Verifier{}.Verify(t.Context(), r)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", raw, err, diff)
		}
	}
	for _, raw := range []string{
		"dev-user:", "dev-user:a b", "dev-user:a/b", "dev-user:" + strings.Repeat("a", 65),
		"dev-service:", "dev-service:root", "dev-service:editor:", "dev-service:editor:a b", "ann", "eyJhbGciOiJub25lIn0.e30.",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+raw)
		if got, err := (devtoken.Verifier{}).Verify(t.Context(), r); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %+v, %v; want ErrInvalid", raw, got, err)
		}
	}
	if _, err := (devtoken.Verifier{}).Verify(t.Context(), httptest.NewRequest("GET", "/", nil)); !errors.Is(err, identity.ErrNoToken) {
		t.Errorf("without a header: %v, want ErrNoToken", err)
	}
}

// TestOnlyDevImportsThis keeps a token that anybody can write out of every other program.
func TestOnlyDevImportsThis(t *testing.T) {
	root := os.DirFS("../../..")
	files := 0
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "cmd/dev" || path != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		source, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, i := range parsed.Imports {
			if strings.Trim(i.Path.Value, `"`) == "homefeed/cmd/dev/devtoken" {
				t.Errorf("%s imports devtoken", path)
			}
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Errorf("%d files were looked at, %v", files, err)
	}
}
