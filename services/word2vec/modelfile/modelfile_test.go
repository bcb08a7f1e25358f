package modelfile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
)

// random is n vectors in random directions.
func random(t testing.TB, n, dim int) *vectors.Vectors {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	ids, data := make([]string, n), make([]float32, n*dim)
	for i := range ids {
		ids[i] = fmt.Sprintf("artist%d.track-%d", i%7, i)
	}
	for i := range data {
		data[i] = float32(r.NormFloat64())
	}
	v, err := vectors.New(ids, dim, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// someLabels are every second track's market, and that every third is explicit.
func someLabels(v *vectors.Vectors) map[string][]string {
	of := map[string][]string{"gone": {"DE"}}
	for i := range v.Len() {
		if i%2 == 0 {
			of[v.ID(i)] = append(of[v.ID(i)], "SE")
		}
		if i%3 == 0 {
			of[v.ID(i)] = append(of[v.ID(i)], "explicit")
		}
	}
	return of
}

func newModel(t testing.TB, v *vectors.Vectors, o modelfile.Options) *modelfile.Content {
	t.Helper()
	c, err := modelfile.New(t.Context(), v, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, path string) *modelfile.Content {
	t.Helper()
	c, err := modelfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// contents is what can be read out of a model.
func contents(t testing.TB, c *modelfile.Content) map[string]any {
	t.Helper()
	v, err := c.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{
		"info": c.Info, "labels": c.Labels(), "probes": c.Probes, "starts": c.Starts, "centroids": c.Centroids,
		"codes": c.Codes, "scales": c.Scales, "vectors": v.Digest(),
	}
	swedish, clean := c.Accept([]string{"SE"}, nil), c.Accept(nil, []string{"explicit"})
	for row := range c.Len() {
		found, ok := c.Find(c.ID(row))
		all[c.ID(row)] = []any{row, found, ok, c.Row(row), swedish(row), clean(row)}
	}
	return all
}

func TestAFileIsTheModel(t *testing.T) {
	v := random(t, 80, 20)
	for name, o := range map[string]modelfile.Options{
		"with all": {Name: "mix", Labels: someLabels(v), Index: ivf.Options{Lists: 9, Recall: .9, Seed: 3}},
		"plain":    {Index: ivf.Options{Lists: 9, Plain: true}},
		"one list": {},
		"scanned":  {Index: ivf.Options{Lists: 1}, Labels: map[string][]string{}},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.hfm")
		if err := modelfile.Save(t.Context(), path, v, o); err != nil {
			t.Fatal(err)
		}
		want, got := contents(t, newModel(t, v, o)), contents(t, open(t, path))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-made +opened)\n%s", name, diff)
		}
		if got["vectors"] != v.Digest() {
			t.Errorf("%s: the vectors come back changed", name)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%s: saving left %v", name, files)
		}
	}
}

func TestLoadTakesEveryFormat(t *testing.T) {
	v := random(t, 50, 6)
	for _, name := range []string{"m.hfm", "m.bin", "m.txt.gz"} {
		path := filepath.Join(t.TempDir(), name)
		if err := modelfile.Save(t.Context(), path, v, modelfile.Options{}); err != nil {
			t.Fatal(err)
		}
		c, err := modelfile.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.Version != v.Digest() || c.Len() != 50 {
			t.Errorf("%s: version %s of %d tracks, want %s", name, c.Version, c.Len(), v.Digest())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"m", "m.hfm.gz", "m.csv"} {
		_, err := modelfile.Load(path)
		for _, err := range []error{err, modelfile.CheckPath(path)} {
			if err == nil || !strings.Contains(err.Error(), "want a name that ends in .hfm, .bin") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	v := random(t, 200, 4)
	of := map[string][]string{}
	for i := range 130 { // more than two words of bits
		of[v.ID(i)] = []string{fmt.Sprint("M", i), "all"}
	}
	c := newModel(t, v, modelfile.Options{Labels: of})
	count := func(with, without []string) (n int) {
		accept := c.Accept(with, without)
		for row := range c.Len() {
			if accept(row) {
				n++
			}
		}
		return n
	}
	for _, test := range []struct {
		with, without []string
		want          int
	}{
		{nil, nil, 200},
		{[]string{"all"}, nil, 130},
		{nil, []string{"all"}, 70},
		{[]string{"all", "M129"}, nil, 1},
		{[]string{"M0", "M129"}, nil, 0},
		{[]string{"all"}, []string{"M0", "M64", "M128"}, 127},
		{[]string{"all"}, []string{"all"}, 0},
		{[]string{"nobody"}, nil, 0},
		{[]string{"all"}, []string{"nobody"}, 130},
	} {
		if got := count(test.with, test.without); got != test.want {
			t.Errorf("%d tracks with %v and without %v, want %d", got, test.with, test.without, test.want)
		}
	}
	if plain := newModel(t, v, modelfile.Options{}); plain.Version == c.Version || plain.Accept([]string{"all"}, nil)(0) || !plain.Accept(nil, []string{"all"})(0) {
		t.Errorf("a model without labels has version %s, one with them %s", plain.Version, c.Version)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	v := random(t, 600, 2)
	many := map[string][]string{}
	for i := range 600 {
		many[v.ID(i)] = []string{fmt.Sprint(i)}
	}
	for want, o := range map[string]modelfile.Options{
		"want at most 64 bytes":                  {Name: strings.Repeat("x", 65)},
		"none of them 0":                         {Name: "a\x00"},
		`label "a b" of track artist0.track-0`:   {Labels: map[string][]string{v.ID(0): {"a b"}}},
		"want at most 512 different ones":        {Labels: many},
		"building index: recall 2: want 0.5":     {Index: ivf.Options{Recall: 2}},
		"want 1–32 of A–Z a–z 0–9 . _ : -":       {Labels: map[string][]string{v.ID(0): {strings.Repeat("x", 33)}}},
		"lists -3: want 0, which finds the best": {Index: ivf.Options{Lists: -3}},
	} {
		if _, err := modelfile.New(t.Context(), v, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := modelfile.Save(t.Context(), filepath.Join(t.TempDir(), "gone", "m.hfm"), v, modelfile.Options{}); err == nil {
		t.Error("saved into a directory that isn't there")
	}
}
