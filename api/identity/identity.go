// Package identity says who is calling. The API asks a Verifier and trusts nothing else: a listener's id comes
// from the token and from nowhere in the request.
package identity

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Role is what a service may do.
type Role string

// The roles. Each may do what those before it may, but for Importer, which stands by itself.
const (
	Viewer    Role = "viewer"    // read any listener's rows
	Editor    Role = "editor"    // and draft what Home shows
	Publisher Role = "publisher" // and publish it
	Admin     Role = "admin"     // and the rest
	Importer  Role = "importer"  // send events of any listener
)

// Roles lists every role.
func Roles() []Role { return []Role{Viewer, Editor, Publisher, Admin, Importer} }

// rank is how far up a role is among those that include the ones below them, -1 for any other.
func rank(r Role) int { return slices.Index([]Role{Viewer, Editor, Publisher, Admin}, r) }

// Identity is a caller whose token was good. It is a listener (User is set) or a service (Service is true), which
// stands for people with roles, too: editors.
type Identity struct {
	User    string // the listener's id, valid by event.ValidUser; empty for a service
	Service bool
	Roles   []Role // a service's
	// Until is when the token expires; zero: nobody knows, so it is verified every time.
	Until time.Time
	// Name is who a service is, for the audit log of the CMS and for nothing else: an e-mail address or a subject.
	Name string
}

// Has reports whether the caller has the role or one that includes it.
func (i Identity) Has(role Role) bool {
	for _, r := range i.Roles {
		if r == role || rank(role) >= 0 && rank(r) >= rank(role) {
			return true
		}
	}
	return false
}

// Why a token was refused. Any other error of a Verifier means that it could not tell, and the caller may try again.
var (
	ErrNoToken = errors.New(`authorization header: want "Bearer" and a token`)
	ErrExpired = errors.New("token has expired")
	ErrInvalid = errors.New("token is not valid here")
)

// Verifier knows good tokens.
type Verifier interface {
	// Verify returns who sent the request. Its error is or wraps ErrNoToken, ErrExpired or ErrInvalid when the
	// token is to blame; any other says that nothing could be verified just now. It observes ctx's deadline and is
	// safe for concurrent use.
	Verify(ctx context.Context, r *http.Request) (Identity, error)
}

// Bearer is the request's token as it was sent, or ErrNoToken.
func Bearer(r *http.Request) (string, error) {
	sent := r.Header["Authorization"] // Get would make sure that the name is canonical, for every request
	if len(sent) == 0 {
		return "", ErrNoToken
	}
	scheme, token, ok := strings.Cut(sent[0], " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", ErrNoToken
	}
	return token, nil
}
