// Package identity says who is calling. The API asks a Verifier and trusts nothing else: a listener's id comes
// from the token and from nowhere in the request.
package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Role is what a service may do.
type Role string

// The roles. Admin may do what Editor may, and Editor what Viewer may; Importer stands by itself.
const (
	Viewer   Role = "viewer"   // read any listener's rows
	Editor   Role = "editor"   // and change what Home shows
	Admin    Role = "admin"    // and the rest
	Importer Role = "importer" // send events of any listener
)

// Roles lists every role.
func Roles() []Role { return []Role{Viewer, Editor, Admin, Importer} }

// Identity is a caller whose token was good. It is a listener (User is set) or a service (Service is true).
type Identity struct {
	User    string // the listener's id, valid by event.ValidUser; empty for a service
	Service bool
	Roles   []Role // a service's
	// Until is when the token expires; zero: nobody knows, so it is verified every time.
	Until time.Time
}

// Has reports whether the caller has the role or one that includes it.
func (i Identity) Has(role Role) bool {
	for _, r := range i.Roles {
		switch {
		case r == role,
			r == Admin && (role == Editor || role == Viewer),
			r == Editor && role == Viewer:
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
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", ErrNoToken
	}
	return token, nil
}
