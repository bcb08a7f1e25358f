package emulator

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStartAndStop starts each emulator that is installed, sees it accept, stops it, and sees it gone.
func TestStartAndStop(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *Process{
		"pubsub": func(t *testing.T) *Process {
			p, err := StartPubSub(t.Context())
			return startedOrSkip(t, p, err)
		},
		"bigtable": func(t *testing.T) *Process {
			p, err := StartBigtable(t.Context())
			return startedOrSkip(t, p, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			defer p.Stop()
			conn, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Fatalf("connecting to a ready emulator: %v", err)
			}
			conn.Close()
			p.Stop()
			if conn, err := net.Dial("tcp", p.Addr); err == nil {
				conn.Close()
				t.Errorf("%s still accepts after Stop", p.Addr)
			}
		})
	}
}

func startedOrSkip(t *testing.T, p *Process, err error) *Process {
	t.Helper()
	if errors.Is(err, ErrMissing) {
		t.Skip("skipped:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMissingSaysWhatToInstall(t *testing.T) {
	_, err := find("platform/no-such-emulator/run", "no-such-component", nil)
	if !errors.Is(err, ErrMissing) {
		t.Fatalf("find = %v, want ErrMissing", err)
	}
	if want := []string{"no-such-component", "no Google Cloud SDK"}; !strings.Contains(err.Error(), want[0]) && !strings.Contains(err.Error(), want[1]) {
		t.Errorf("find = %q, want it to say one of %q", err, want)
	}
}

func TestFindFollowsGcloudThroughSymlink(t *testing.T) {
	root := t.TempDir()
	program := filepath.Join(root, "platform", "some-emulator", "run")
	for _, file := range []string{program, filepath.Join(root, "bin", "gcloud")} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("#!/bin/sh\necho port taken >&2\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "bin", "gcloud"), filepath.Join(path, "gcloud")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)

	resolved, err := filepath.EvalSymlinks(program)
	if err != nil {
		t.Fatal(err)
	}
	got, err := find("platform/some-emulator/run", "some", nil)
	if err != nil || got != resolved {
		t.Errorf("find = %q, %v, want %q", got, err, resolved)
	}
	if _, err := find("platform/some-emulator/run", "some", []string{"java"}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "needs java") {
		t.Errorf("find without java = %v, want ErrMissing naming java", err)
	}
}

// TestExitIsReportedWithOutput has a program that exits at once: starting must fail quickly and show why.
func TestExitIsReportedWithOutput(t *testing.T) {
	program := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho port taken >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := startOn(t.Context(), program, func(port string) []string { return []string{port} })
	if err == nil || !strings.Contains(err.Error(), "port taken") || !strings.Contains(err.Error(), "exited") {
		t.Errorf("startOn = %v, want it to say that the program exited, with its output", err)
	}
}
