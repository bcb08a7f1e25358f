package embedded

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseLoopback(t *testing.T) {
	for addr, want := range map[string]struct {
		host string
		port int
		ok   bool
	}{
		"127.0.0.1:4222":  {"127.0.0.1", 4222, true},
		"127.8.9.10:1":    {"127.8.9.10", 1, true},
		"[::1]:0":         {"::1", 0, true},
		"localhost:65535": {"localhost", 65535, true},
		"":                {},
		":4222":           {},
		"0.0.0.0:4222":    {},
		"192.0.2.1:4222":  {},
		"example.com:1":   {},
		"127.0.0.1":       {},
		"127.0.0.1:-1":    {},
		"127.0.0.1:65536": {},
		"127.0.0.1:nats":  {},
	} {
		host, port, err := ParseLoopback(addr)
		if (err == nil) != want.ok || host != want.host && want.ok || port != want.port && want.ok {
			t.Errorf("ParseLoopback(%q) = %q, %d, %v, want %+v", addr, host, port, err, want)
		}
	}
}

func TestTokenIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), TokenFile)
	first, err := ownToken(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) < 20 {
		t.Errorf("token %q is short", first)
	}
	for what, get := range map[string]func(string) (string, error){"again": ownToken, "by a client": ReadToken} {
		if got, err := get(file); err != nil || got != first {
			t.Errorf("read %s: %q, %v, want %q", what, got, err, first)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ownToken(file); err != nil || got == "" {
		t.Errorf("with an empty file: %q, %v, want a new token", got, err)
	}
}
