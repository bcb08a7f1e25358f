package edge

import (
	"fmt"
	"net/http"

	"homefeed/api/apierror"
	"homefeed/api/identity"
	"homefeed/shelves/store"
)

// Handler answers a request of a caller who may make it, or returns why not before anything is written.
type Handler func(w http.ResponseWriter, r *http.Request, who identity.Identity) error

// Route is a line of the API. TestAccess has a row for each route and kind of caller.
type Route struct {
	Method string
	// Path is as http.ServeMux has it; behind a last wildcard there may be a verb of our own, as AIP-136 has it:
	// "/v1/users/{user}:export".
	Path   string
	May    func(identity.Identity) error
	Handle Handler
	// Full is why nobody is let in for whom much would have to be done; nil, or nothing returned: all are.
	Full func() error
}

// Listeners may come, and nobody else.
func Listeners(who identity.Identity) error {
	if who.User == "" {
		return apierror.Denied("LISTENER_NEEDED", "this is for listeners; the token is a service's")
	}
	return nil
}

// Having lets services with the role come.
func Having(role identity.Role) func(identity.Identity) error {
	return func(who identity.Identity) error {
		if !who.Service || !who.Has(role) {
			return apierror.Denied("ROLE_NEEDED", fmt.Sprintf("this needs the role %s", role))
		}
		return nil
	}
}

// ListenersOr lets listeners come, and services with the role.
func ListenersOr(role identity.Role) func(identity.Identity) error {
	return func(who identity.Identity) error {
		if Listeners(who) == nil {
			return nil
		}
		return Having(role)(who)
	}
}

// UserKey is the key of a listener's row, or INVALID_ARGUMENT.
func UserKey(user string) (store.Key, error) {
	key, err := store.UserKey(user)
	if err != nil {
		return "", apierror.BadRequest("USER_INVALID", "the listener's id is not valid",
			apierror.Field{Field: "user", Want: "want 1–64 of A–Z a–z 0–9 . _ -"})
	}
	return key, nil
}
