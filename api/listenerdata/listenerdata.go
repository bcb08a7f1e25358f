// Package listenerdata gives listeners power over what is kept of them: to have it, and to have it erased. It knows all
// places where that is: the row that Home is made of, and songs-played.
package listenerdata

import (
	"context"
	"iter"
	"net/http"
	"time"

	"homefeed/api/apierror"
	"homefeed/api/edge"
	"homefeed/api/faults"
	"homefeed/api/identity"
	"homefeed/pipeline/event"
	"homefeed/shelves/store"
)

// Rows is what is needed of the row store.
type Rows interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
	Delete(ctx context.Context, key store.Key, at time.Time) error
}

// Events is what is needed of songs-played.
type Events interface {
	// Erase forgets what the listener did at or before at, for good, also when it comes late, and what is there and claims
	// to be later by at most ahead. upTo is at, or the time of the latest of those. deleted is how many things there were;
	// left is how many were found when looking again. Calling it again is safe.
	Erase(ctx context.Context, user string, at time.Time, ahead time.Duration) (upTo time.Time, deleted, left int64, err error)
	// Actions is everything that is known of the listener, without ids and markets. It ends with the first error.
	Actions(ctx context.Context, user string) iter.Seq2[event.Event, error]
}

// Handler is the routes below /v1/users/{user}. Make it with New.
type Handler struct {
	Config
	exports chan struct{} // one each
}

// Config is what a Handler is made of. All but Events is needed.
type Config struct {
	Rows   Rows
	Events Events // nil: nobody can be erased or exported here
	Faults *faults.Faults
	Now    func() time.Time
}

// maxExports is how many exports run at once: each reads everything of a listener.
const maxExports = 8

// New makes a Handler.
func New(c Config) *Handler { return &Handler{c, make(chan struct{}, maxExports)} }

// own is whose data is asked for: a listener's own, or anybody's when a service asks that may.
func own(r *http.Request, who identity.Identity) (user string, key store.Key, err error) {
	user = r.PathValue("user")
	if !who.Service && who.User != user {
		return "", "", apierror.Denied("OWN_ONLY", "a listener may do this only with what is their own")
	}
	key, err = edge.UserKey(user)
	return user, key, err
}

func unavailable() error {
	return apierror.Unavailable("SONGS_PLAYED_UNAVAILABLE",
		"this API has no way to songs-played, where most of a listener's data is", time.Minute, nil)
}
