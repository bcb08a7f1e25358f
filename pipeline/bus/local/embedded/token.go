package embedded

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// TokenFile is the file in Options.Dir, readable by its owner alone, whose content a client over TCP has to show.
const TokenFile = "token"

// ReadToken reads what a TokenFile holds.
func ReadToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// ownToken reads the token, or makes one the first time.
func ownToken(file string) (string, error) {
	token, err := ReadToken(file)
	if err == nil && token != "" {
		return token, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token = rand.Text()
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing token: %w", err)
	}
	return token, nil
}

// tokenCheck lets those in who show the token.
type tokenCheck string

// Check implements server.Authentication.
func (t tokenCheck) Check(c server.ClientAuthentication) bool {
	return subtle.ConstantTimeCompare([]byte(c.GetOpts().Token), []byte(t)) == 1
}
