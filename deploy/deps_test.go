// Package deploy_test holds the repository to its own rules of structure, which no compiler checks.
package deploy_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "homefeed"

// source is one Go file of the repository.
type source struct {
	path    string // from the root, with slashes
	test    bool   // a _test.go file
	ast     *ast.File
	lines   int
	imports []string
}

// pkg is the directory of the file, "shelves/shelf".
func (s *source) pkg() string { return path.Dir(s.path) }

// sources parses every Go file that is not generated.
func sources(t *testing.T) []*source {
	t.Helper()
	root := filepath.Dir(mustAbs(t, "."))
	var all []*source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, file, data, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if ast.IsGenerated(parsed) {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s := &source{path: filepath.ToSlash(rel), test: strings.HasSuffix(file, "_test.go"), ast: parsed, lines: bytes.Count(data, []byte("\n"))}
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d Go files found under %s", len(all), root)
	}
	return all
}

func mustAbs(t *testing.T, p string) string {
	t.Helper()
	abs, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// own is the package's directory if it is this module's.
func own(imported string) (string, bool) { return strings.CutPrefix(imported, module+"/") }

// std reports whether an import is of the standard library: its first element has no dot and is not ours.
func std(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return first != module && !strings.Contains(first, ".")
}

func TestNothingHappensByImporting(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.ast.Imports {
			if i.Name != nil && i.Name.Name == "_" {
				t.Errorf("%s imports %s for its side effects: want a call", s.path, i.Path.Value)
			}
		}
		if s.pkg() == "pipeline/beamgraph" || strings.HasPrefix(s.pkg(), "pipeline/beamgraph/") {
			continue // Beam finds functions and types by what init registers
		}
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: want a constructor", s.path)
			}
		}
	}
}

func TestShelvesNeedTheStandardLibraryAndShelfOnly(t *testing.T) {
	files := 0
	for _, s := range sources(t) {
		if s.test || s.pkg() != "shelves" && s.pkg() != "shelves/shelf" {
			continue
		}
		files++
		for _, i := range s.imports {
			if !std(i) && (s.pkg() == "shelves/shelf" || i != module+"/shelves/shelf") {
				t.Errorf("%s imports %s", s.path, i)
			}
		}
	}
	if files < 9 {
		t.Errorf("%d files checked", files)
	}
}

// forTests reports whether a package is there for tests: a harness, a contract test, or the emulators.
func forTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || strings.HasPrefix(pkg, "deploy/")
}

func TestTestingStaysOutOfPrograms(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || forTests(s.pkg()) {
			continue
		}
		for _, i := range s.imports {
			if i == "testing" || strings.HasPrefix(i, "testing/") {
				t.Errorf("%s imports %s", s.path, i)
			}
			if pkg, ok := own(i); ok && forTests(pkg) {
				t.Errorf("%s imports %s, which is for tests", s.path, i)
			}
		}
	}
}

// layer is where a package stands.
func layer(pkg string) string {
	switch {
	case strings.HasSuffix(pkg, "pb"), slices.Contains([]string{
		"pipeline/bus", "pipeline/event", "pipeline/trigger", "shelves/shelf", "shelves/store"}, pkg):
		return "contracts"
	case pkg == "services/ops" || pkg == "services/rpc":
		return "plumbing"
	case strings.HasPrefix(pkg, "pipeline/bus/"), strings.HasPrefix(pkg, "shelves/store/"):
		return "implementations"
	case strings.HasPrefix(pkg, "shelves/refresh"):
		return "refresh"
	}
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

// may says which layers a layer may import, besides itself.
var may = map[string][]string{
	"contracts":       {},
	"plumbing":        {},
	"implementations": {"contracts", "plumbing"},
	"shelves":         {"contracts"},
	"pipeline":        {"contracts", "plumbing"},
	"services":        {"contracts", "plumbing"},
	"refresh":         {"contracts", "plumbing", "pipeline"}, // pipeline: for the form of a dead letter
	"api":             {"contracts", "plumbing"},
	"cmd":             {"contracts", "plumbing", "implementations", "shelves", "pipeline", "services", "refresh", "api"},
}

func TestDependenciesRunOneWay(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || forTests(s.pkg()) {
			continue
		}
		from := layer(s.pkg())
		allowed, known := may[from]
		if !known {
			t.Errorf("%s is in no layer: top level is cmd, pipeline, shelves, services, api, deploy, testdata", s.path)
		}
		for _, i := range s.imports {
			pkg, ok := own(i)
			if to := layer(pkg); ok && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s (%s) imports %s (%s): want only %v", s.path, from, pkg, to, allowed)
			}
		}
	}
}

// linked is every package that ends up in the program of cmd, of ours and of others, with one of ours that imports it.
func linked(all []*source, cmd string) map[string]string {
	byPkg := map[string][]*source{}
	for _, s := range all {
		if !s.test {
			byPkg[s.pkg()] = append(byPkg[s.pkg()], s)
		}
	}
	found := map[string]string{}
	queue := []string{cmd}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		for _, s := range byPkg[pkg] {
			for _, i := range s.imports {
				if _, seen := found[i]; seen {
					continue
				}
				found[i] = s.path
				if p, ok := own(i); ok {
					queue = append(queue, p)
				}
			}
		}
	}
	return found
}

func TestProgramsLinkOnlyWhatTheyNeed(t *testing.T) {
	all := sources(t)
	for cmd, unwanted := range map[string][]string{
		"cmd/dev": {"github.com/apache/beam/", module + "/pipeline/beamgraph"},
		"cmd/homefeed": {
			"github.com/apache/beam/", module + "/pipeline/beamgraph", module + "/pipeline/bus/local", module + "/pipeline/local",
			module + "/shelves/store/local", module + "/services/songsplayed/localtable", module + "/api/cms/locallog", module + "/cmd/dev",
			"github.com/nats-io/", "github.com/cockroachdb/pebble/", "go.etcd.io/bbolt",
		},
	} {
		packages := linked(all, cmd)
		if len(packages) == 0 {
			t.Errorf("%s imports nothing: is it still there?", cmd)
		}
		for _, i := range slices.Sorted(maps.Keys(packages)) {
			for _, u := range unwanted {
				if strings.HasPrefix(i+"/", strings.TrimSuffix(u, "/")+"/") {
					t.Errorf("%s must not link %s; %s imports it", cmd, i, packages[i])
				}
			}
		}
	}
}
