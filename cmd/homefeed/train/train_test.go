package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/vectors"
)

// playlists writes a file of playlists in two groups.
func playlists(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i := range 500 {
		group := string("ab"[i%2])
		for j := range 6 {
			fmt.Fprintf(&b, "%s%d ", group, (i/2+j*j)%12)
		}
		b.WriteString("\n")
	}
	path := filepath.Join(t.TempDir(), "playlists.txt")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunWritesAModel(t *testing.T) {
	cfg := Default()
	cfg.In, cfg.Out = playlists(t), filepath.Join(t.TempDir(), "model.bin")
	cfg.Dim, cfg.Sample = 8, 0
	var out bytes.Buffer
	var ticks time.Duration
	clock := func() time.Time { ticks += 100 * time.Millisecond; return time.Unix(0, 0).Add(ticks) }
	if err := run(t.Context(), cfg, &out, clock); err != nil {
		t.Fatal(err)
	}
	v, err := vectors.Load(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	if v.Len() != 24 || v.Dim() != 8 {
		t.Errorf("a model of %d tracks of dimension %d", v.Len(), v.Dim())
	}
	similarity := func(a, b string) float32 {
		i, _ := v.Find(a)
		j, _ := v.Find(b)
		return dot.One(v.At(i), v.At(j))
	}
	if same, other := similarity("a0", "a6"), similarity("a0", "b6"); same < other+.2 {
		t.Errorf("similarity within a group %.2f, across %.2f", same, other)
	}
	for _, want := range []string{
		"500 playlists, 3000 tracks, 24 different ones\n", "epoch 30 of 30, 100%,", ", 0s left\n",
		"model.bin: model " + v.Digest() + ", 24 tracks of dimension 8, in ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	// The clock moves 0.1 s a look, and there are two an epoch, so at least five epochs lie between two lines.
	if lines := strings.Count(out.String(), "left\n"); lines < 3 || lines > 9 {
		t.Errorf("%d lines of progress in\n%s", lines, out.String())
	}
}

func TestRunLeavesTheOldModelWhenItFails(t *testing.T) {
	dir := t.TempDir()
	good := Default()
	good.In, good.Out = playlists(t), filepath.Join(dir, "model.bin")
	if err := os.WriteFile(good.Out, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.txt")
	if err := os.WriteFile(broken, []byte("a b\nc ?\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"want a name that ends in .hfm": func(c *Config) { c.Out += ".old" },
		"directory of the model":        func(c *Config) { c.Out = filepath.Join(dir, "gone", "model.bin") },
		"opening playlists":             func(c *Config) { c.In += ".gone" },
		"broken.txt: line 2: track":     func(c *Config) { c.In = broken },
		"dim: 0: want 1 to 4096":        func(c *Config) { c.Dim = 0 },
	} {
		cfg := good
		change(&cfg)
		if err := Run(t.Context(), cfg, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, good, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	files, _ := os.ReadDir(dir)
	old, _ := os.ReadFile(good.Out)
	if len(files) != 1 || string(old) != "old" {
		t.Errorf("failing left %v, the model is %q", files, old)
	}
}
