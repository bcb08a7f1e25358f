package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"homefeed/deploy/child"
)

// block is one of README's, fenced with its language: sh is run by TestREADME, console needs a cloud.
var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// serves is what starts something that stays up, and what it prints once it is.
var serves = map[string]string{
	"make demo": "Ctrl-C ends it", "make demo-beam": "Ctrl-C ends it", "go run ./cmd/dev": "homefeed is up",
}

// files are those that README's reader has: a catalogue, playlists and a log.
var files = map[string]string{
	"tracks.tsv":    "track\tartist\ttitle\nravel.bolero\tMaurice Ravel\tBoléro\nsatie.gnossienne1\tErik Satie\tGnossienne No. 1\n",
	"playlists.txt": "ravel.bolero satie.gnossienne1\nsatie.gnossienne1 ravel.bolero\n",
	"events.tsv":    "ts\tuser\tevent\tobject\n1402000000\tann\tplay\travel.bolero\n1402000300\tann\tfollow_artist\tErik Satie\n",
}

// TestREADME does what README says, from the top, in a copy of the repository: every command of its sh blocks, and
// the shelf that it adds.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	for _, b := range block.FindAllStringSubmatch(string(text), -1) {
		switch language, body := b[1], b[2]; language {
		case "sh":
			body = strings.ReplaceAll(body, "\\\n", " ")
			for line := range strings.Lines(body) {
				r.do(strings.TrimSpace(line))
			}
		case "go":
			r.addShelf(body)
		}
	}
	if want := []string{"curl", "go run ./cmd/dev", "go run ./cmd/homefeed replay", "go test", "make demo", "make demo-beam", "make test"}; !slices.Equal(r.kinds(), want) {
		t.Errorf("README's commands are %q, want %q", r.kinds(), want)
	}
}

// reader is somebody who follows README in a directory of their own.
type reader struct {
	t    *testing.T
	dir  string
	env  []string
	did  []string
	addr *strings.Replacer // README's addresses by those that are free here
	up   *child.Process    // what serves
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir()}
	copyTree(t, filepath.Dir(mustAbs(t, ".")), r.dir)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addrs, err := child.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = strings.NewReplacer("127.0.0.1:8080", addrs[0], "127.0.0.1:9090", addrs[1])
	r.env = []string{"LISTEN=" + addrs[0], "ADMIN=" + addrs[1], "MAKEFLAGS="}
	return r
}

// do runs a command to its end, or until it is up if it serves.
func (r *reader) do(line string) {
	r.t.Helper()
	r.did = append(r.did, line)
	if line == "make test" {
		line = "make -n test" // it runs this very test
	}
	for start, said := range serves {
		if line == start || strings.HasPrefix(line, start+" ") {
			r.serve(line, said)
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", r.addr.Replace(line))
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), r.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	r.t.Logf("%s\n%.600s", line, out)
	if len(out) == 0 || strings.Contains(string(out), `"error"`) {
		r.t.Errorf("%s: answers %q", line, out)
	}
}

// serve replaces what is up, if anything is, by another command.
func (r *reader) serve(line, said string) {
	r.t.Helper()
	if r.up != nil {
		r.up.Kill()
	}
	if strings.HasPrefix(line, "go run") { // make takes these from the environment
		line = fmt.Sprintf("%s -%s -%s", line, strings.ToLower(r.env[0]), strings.ToLower(r.env[1]))
	}
	r.up = child.Start(r.t, line, r.env, "sh", "-ec", "cd "+r.dir+"; "+line)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Minute) // the first build of Beam takes some
	for !strings.Contains(r.up.Output(), said) {
		select {
		case <-tick.C:
		case <-r.up.Done():
			r.t.Fatalf("%s has ended:\n%s", line, r.up.Output())
		case <-late:
			r.t.Fatalf("%s does not say %q", line, said)
		}
	}
	r.t.Logf("%s\n%s", line, r.up.Output())
}

// addShelf writes the shelf's file and adds its name to All.
func (r *reader) addShelf(code string) {
	r.t.Helper()
	name := regexp.MustCompile(`(?m)^var (\w+) = &shelf\.Shelf`).FindStringSubmatch(code)
	if name == nil {
		r.t.Fatalf("README's Go is no shelf:\n%s", code)
	}
	list := filepath.Join(r.dir, "shelves", "shelves.go")
	text, err := os.ReadFile(list)
	if err != nil {
		r.t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(text), "[]*shelf.Shelf{")
	if !ok {
		r.t.Fatal("shelves.go has no list of shelves")
	}
	err = errors.Join(os.WriteFile(list, []byte(before+"[]*shelf.Shelf{\n\t\t"+name[1]+","+after), 0o600),
		os.WriteFile(filepath.Join(r.dir, "shelves", "readme.go"), []byte(code), 0o600))
	if err != nil {
		r.t.Fatal(err)
	}
}

// kinds are the commands that were run, each once, without what follows its kind.
func (r *reader) kinds() []string {
	var kinds []string
	for _, line := range r.did {
		words := strings.Fields(line)
		n := 1
		switch {
		case strings.HasPrefix(line, "go run ./cmd/homefeed"):
			n = 4
		case strings.HasPrefix(line, "go run"):
			n = 3
		case words[0] != "curl":
			n = 2
		}
		if kind := strings.Join(words[:n], " "); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// copyTree copies what a clone would have, about: nothing hidden, and nothing that is built or kept.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case rel == ".":
			return nil
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || rel == "bin" || rel == "data"):
			return fs.SkipDir
		case d.IsDir():
			return os.Mkdir(target, 0o700)
		}
		return copyFile(file, target)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// TestREADMELinks finds what README links to.
func TestREADMELinks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(m[1]))); err != nil {
			t.Errorf("README links to %s: %v", m[1], err)
		}
	}
}
