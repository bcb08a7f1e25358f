package index

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
)

const text = "3 2\na 1 0\nb 0.6 0.8\nc 0 -1\n"

// files writes the vectors and labels and returns where.
func files(t *testing.T, labels string) (in, labelled string) {
	t.Helper()
	dir := t.TempDir()
	in, labelled = filepath.Join(dir, "in.txt"), filepath.Join(dir, "labels.tsv")
	for path, content := range map[string]string{in: text, labelled: labels} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return in, labelled
}

func TestThereAndBack(t *testing.T) {
	in, labels := files(t, "a\tSE, NO\nc\texplicit\nb\t\nunknown\tSE\n")
	model, back := filepath.Join(t.TempDir(), "m.hfm"), filepath.Join(t.TempDir(), "back.txt")
	clock := time.Unix(0, 0)
	now := func() time.Time { clock = clock.Add(time.Second); return clock }
	var out bytes.Buffer
	cfg := Config{In: in, Out: model, Labels: labels, Options: modelfile.Options{Name: "trio", Index: ivf.Options{Seed: 1}}}
	if err := run(t.Context(), cfg, &out, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in.txt: 3 tracks of dimension 2\n", "3 labels; searches compare all and are exact; in 1s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("told %q, want %q", out.String(), want)
		}
	}
	c, err := modelfile.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if row, ok := c.Find("a"); c.Name != "trio" || !ok || !c.Accept([]string{"SE", "NO"}, []string{"explicit"})(row) {
		t.Errorf("model %q has labels %v", c.Name, c.Labels())
	}
	if err := Run(t.Context(), Config{In: model, Out: back}, &out); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(back); err != nil || string(got) != text {
		t.Errorf("%q comes back, %v", got, err)
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	for want, labels := range map[string]string{
		"line 2: want a track, a tab":        "a\tSE\nb SE\n",
		`line 3: track "a" is there twice`:   "a\tSE\nb\tSE\na\tNO\n",
		`label "1/2" of track b: want 1–32`:  "b\t1/2\n",
		"line 1: bufio.Scanner: token too":   "a\t" + strings.Repeat("x", 70_000),
		"labels.tsv: line 1: want a track, ": "\tSE\n",
	} {
		in, file := files(t, labels)
		err := Run(t.Context(), Config{In: in, Out: filepath.Join(t.TempDir(), "m.hfm"), Labels: file}, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	in, _ := files(t, "")
	for want, cfg := range map[string]Config{
		"want a name that ends in .hfm": {In: in, Out: "m.csv"},
		"opening labels":                {In: in, Out: "m.hfm", Labels: "/nowhere/labels.tsv"},
		"opening vectors":               {In: "/nowhere/m.bin", Out: "m.hfm"},
	} {
		if err := Run(t.Context(), cfg, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func FuzzParseLabels(f *testing.F) {
	f.Add("a\tSE, NO\nb\t\n")
	f.Add("a\t,,\r\n\n")
	f.Fuzz(func(t *testing.T, file string) {
		of, err := parseLabels(strings.NewReader(file))
		if err != nil {
			return
		}
		for track, labels := range of {
			if track == "" || strings.Contains(track, "\t") {
				t.Errorf("track %q", track)
			}
			for _, label := range labels {
				if label == "" || strings.ContainsAny(label, ",\n") {
					t.Errorf("label %q of %q", label, track)
				}
			}
		}
	})
}
