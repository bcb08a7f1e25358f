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
)

// program writes a shell script that copies a model to where it is told to.
func program(t *testing.T, model string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trainer")
	script := fmt.Sprintf("#!/bin/sh\nfor a; do case \"$a\" in -out=*) cp %q \"${a#-out=}\";; fail) echo broken >&2; exit 3;; esac; done\n", model)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCompareRunsBothAndLooksAtWhatTheyWrote(t *testing.T) {
	in := mixed(t)
	model := filepath.Join(t.TempDir(), "model.bin")
	trained := Default()
	trained.In, trained.Out, trained.Config = in, model, small()
	if err := Run(t.Context(), trained, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	cfg := CompareConfig{Source: Source{In: in}, Config: small(), Rounds: 2, Self: program(t, model)}
	// The other trainer writes a model that knows one group only, so it must score half as well.
	cfg.Command = []string{"/bin/sh", "-c", `test "$1" -ge 1 && grep -q "a0 a1" "$0" && { echo "12 2"; for i in 0 1 2 3 4 5 6 7 8 9 10 11; do echo "a$i 1 0"; done; } > "$2"`,
		"{in}", "{seed}", "{txt}"}
	if err := cfg.CheckCommand(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Compare(t.Context(), cfg, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"round 2 of 2: sh took ", "round 1 of 2: homefeed -exact took ", "×1.00", "500 playlists, 3500 tracks, 24 different ones, 40 epochs"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	scores := map[string]float64{}
	for line := range strings.Lines(out.String()) {
		if before, after, ok := strings.Cut(line, "×"); ok {
			var ratio, hr float64
			fmt.Sscan(after, &ratio, &hr)
			scores[strings.Fields(before)[0]] = hr
		}
	}
	if ours, theirs := scores["homefeed"], scores["sh"]; ours < .7 || theirs > .55 || theirs < .2 {
		t.Errorf("HR@10 ours %v, theirs %v in\n%s", ours, theirs, out.String())
	}
}

func TestCompareSaysWhatFailed(t *testing.T) {
	cfg := CompareConfig{Source: Source{In: playlists(t)}, Config: small(), Rounds: 1, Self: "gone"}
	for want, command := range map[string][]string{
		"running sh: exit status 3: broken":          {"/bin/sh", "-c", "echo broken >&2; exit 3", "{in}", "{bin}"},
		"looking at what true wrote: opening vector": {"true", "{in}", "{bin}"},
		"running gone: ":                             {"gone", "{in}", "{bin}"},
	} {
		cfg.Command = command
		if strings.HasPrefix(want, "looking") {
			cfg.Self = "true"
		}
		if err := Compare(t.Context(), cfg, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Compare(ctx, cfg, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, command := range [][]string{nil, {"a"}, {"a", "{in}"}, {"a", "{in}", "{bin}", "{txt}"}} {
		cfg.Command = command
		if cfg.CheckCommand() == nil {
			t.Errorf("%v is a command to compare with", command)
		}
	}
}
