//go:build unix

package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func vectorbench(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out)
	return out.String(), err
}

// Both kinds of vectors are made, searched and compared with a program that always finds the first vector.
func TestMakeAndSearch(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.sh")
	script := `head -c 40 /dev/zero > "$5/first"; echo build 2 3; echo run first 0.5 "$5/first"`
	if err := os.WriteFile(other, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, clusters := range []string{"5", "0"} {
		dir := t.TempDir()
		if _, err := vectorbench(t, "make", "-dir", dir, "-n", "300", "-dim", "8", "-queries", "2", "-clusters", clusters); err != nil {
			t.Fatal(err)
		}
		search := []string{"search", "-dir", dir, "-dim", "8", "-k", "5", "-for", "0", "-rounds", "2", "-recalls", "0.9", "-against", "sh " + other}
		out, err := vectorbench(t, search...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"300 vectors of dimension 8, 2 queries for 5 each", "| first | ", " | 4 | 2 | 3 |", "asked for 0.9: 1 lists", "without codes | 1.0000",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("clusters %s: %s\nwant %q", clusters, out, want)
			}
		}
		if _, err := vectorbench(t, append(search, "-k", "4")...); err == nil || !strings.Contains(err.Error(), "10 neighbours in 0.5 s: want 8") {
			t.Errorf("answers of a wrong number: %v", err)
		}
	}
}

// Some of a model's vectors become queries, which are not searched among.
func TestMakeOfModel(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	if _, err := vectorbench(t, "make", "-dir", from, "-n", "50", "-dim", "8", "-queries", "1"); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(from, "base.bin")
	if _, err := vectorbench(t, "make", "-dir", dir, "-model", model, "-queries", "20"); err != nil {
		t.Fatal(err)
	}
	all, err := readNumbers[float32](filepath.Join(from, "base.f32"))
	if err != nil {
		t.Fatal(err)
	}
	var taken []float32
	for name, want := range map[string]int{"base.f32": 30 * 8, "queries.f32": 20 * 8} {
		part, err := readNumbers[float32](filepath.Join(dir, name))
		if err != nil || len(part) != want {
			t.Fatalf("%s: %d values, %v, want %d", name, len(part), err, want)
		}
		taken = append(taken, part...)
	}
	slices.Sort(all)
	slices.Sort(taken)
	if !slices.Equal(all, taken) {
		t.Error("base and queries together are not the model's vectors")
	}
	if _, err := vectorbench(t, "make", "-dir", dir, "-model", model, "-queries", "50"); err == nil || !strings.Contains(err.Error(), "want fewer than the 50 vectors") {
		t.Errorf("all of them as queries: %v", err)
	}
}

func TestBetween(t *testing.T) {
	all := []result{{recall: .99, perSec: 100}, {recall: .9, perSec: 1000}}
	for recall, want := range map[float64]float64{.9: 1000, .99: 100, 1 - math.Sqrt(.1*.01): math.Sqrt(1000 * 100)} {
		if got, ok := between(all, recall); !ok || math.Abs(got-want) > 1e-6*want {
			t.Errorf("at %v: %v, %v, want %v", recall, got, ok, want)
		}
	}
	if _, ok := between(all, .8); ok {
		t.Error("below all")
	}
	if _, ok := between(nil, .8); ok {
		t.Error("of none")
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	for want, args := range map[string][]string{
		"want a command":            nil,
		`"x": want make, search`:    {"x"},
		"want at least 1 of each":   {"make", "-n", "0"},
		"no such file or directory": {"search", "-dir", "/nowhere"},
		"stat /nowhere: no such":    {"serve", "-model", "/nowhere/model.hfm"},
	} {
		if _, err := vectorbench(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
