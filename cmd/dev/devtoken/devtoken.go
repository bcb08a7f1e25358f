// Package devtoken lets anybody be anybody: "Bearer dev-user:<id>" is that listener, "Bearer dev-service:<role>" a
// service with that role, and "Bearer dev-service:<role>:<name>" one that the CMS calls by that name. It is for
// cmd/dev alone; a test keeps every other program from importing it.
package devtoken

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"homefeed/api/identity"
	"homefeed/pipeline/event"
)

// Verifier is an identity.Verifier that believes what it is told.
type Verifier struct{}

// Verify reads the token.
func (Verifier) Verify(_ context.Context, r *http.Request) (identity.Identity, error) {
	token, err := identity.Bearer(r)
	if err != nil {
		return identity.Identity{}, err
	}
	if user, ok := strings.CutPrefix(token, "dev-user:"); ok && event.ValidUser(user) {
		return identity.Identity{User: user}, nil
	}
	if service, ok := strings.CutPrefix(token, "dev-service:"); ok {
		role, name, named := strings.Cut(service, ":")
		if !named {
			name = "dev " + role
		}
		if slices.Contains(identity.Roles(), identity.Role(role)) && (!named || event.ValidUser(name)) {
			return identity.Identity{Service: true, Roles: []identity.Role{identity.Role(role)}, Name: name}, nil
		}
	}
	return identity.Identity{}, fmt.Errorf("%w: want dev-user:<id> or dev-service:<one of %v>, and :<name> behind it if you like",
		identity.ErrInvalid, identity.Roles())
}
