package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homefeed/api/identity/oidctest"
	"homefeed/services/ops"
)

// TestSignInSecret holds that the client's secret comes from its file, and is in nothing that is shown.
func TestSignInSecret(t *testing.T) {
	issuer := oidctest.New(t, time.Now())
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, c := range map[string]struct{ secretFile, want string }{
		"a secret": {file("s3cret\n"), ""},
		"none":     {"", ""},
		"missing":  {filepath.Join(t.TempDir(), "nothing"), "-oidc-client-secret-file: open"},
		"empty":    {file("\n"), "want the client's secret, have an empty file"},
	} {
		var shown bytes.Buffer
		log := slog.New(slog.NewTextHandler(&shown, nil))
		cfg := &cmsConfig{OIDCIssuer: issuer.URL, OIDCAudience: "homefeed", ClientID: "cms", SecretFile: c.secretFile, URL: "https://cms.example"}
		ops.LogConfig(log, "cms", cfg)
		in, err := cfg.signIn(t.Context(), &role{env: environment{log: log}})
		if c.want == "" && (err != nil || in == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if strings.Contains(shown.String(), "s3cret") {
			t.Errorf("%s: shown: %s", name, shown.String())
		}
	}
	if in, err := (&cmsConfig{OIDCIssuer: issuer.URL}).signIn(t.Context(), &role{}); in != nil || err != nil {
		t.Errorf("without a client: %v, %v", in, err)
	}
}
