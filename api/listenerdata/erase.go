// Package listenerdata gives listeners power over what is kept of them.
package listenerdata

import (
	"context"
	"encoding/json"
	"fmt"
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

// Eraser forgets what a service knows of a listener. deleted is how many things there were; left is how many were found
// when looking again. What happened at or before at stays away for good, also when it comes late. Calling it again is
// safe.
type Eraser interface {
	Erase(ctx context.Context, user string, at time.Time) (deleted, left int64, err error)
}

// Handler is the routes by which a listener's data is erased.
type Handler struct {
	Rows   Rows
	Events Eraser // nil: nobody can be erased here
	Faults *faults.Faults
	Now    func() time.Time
}

// receipt says what DELETE /v1/users/{user} has erased. It is written once everything was looked at again.
type receipt struct {
	// At is up to when: everything at or before it is hidden for good, whenever it comes. It lies as far ahead as an
	// event's time may, because phones' clocks do.
	At     time.Time `json:"at"`
	Rows   erasure   `json:"rows"`   // shelves of Home, and what was hidden
	Events erasure   `json:"events"` // plays, hearts and follows
}

type erasure struct {
	Deleted int64 `json:"deleted"`
	Left    int64 `json:"left"`
}

// eraseTimeout bounds an erasure. It goes on when the caller leaves: half of one must not be the end of it.
const eraseTimeout = 8 * time.Second

// Erase answers DELETE /v1/users/{user}. Events go first: a refresh that is under way then finds none, and the row that
// it writes is hidden by the row's own mark, because a row's as-of is never later than its newest event.
func (h *Handler) Erase(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	user := r.PathValue("user")
	if !who.Service && who.User != user {
		return apierror.Denied("OWN_ONLY", "a listener may erase only what is their own")
	}
	key, err := edge.UserKey(user)
	if err != nil {
		return err
	}
	if h.Events == nil {
		return apierror.Unavailable("ERASURE_UNAVAILABLE", "this API has no way to songs-played, so it erases nothing", time.Minute, nil)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eraseTimeout)
	defer cancel()
	out := receipt{At: h.Now().UTC().Add(event.MaxAhead).Truncate(time.Millisecond)}
	if out.Events.Deleted, out.Events.Left, err = h.Events.Erase(ctx, user, out.At); err == nil {
		out.Rows, err = h.eraseRow(ctx, key, out.At)
	}
	if err == nil && out.Events.Left+out.Rows.Left > 0 {
		err = fmt.Errorf("%d events and %d cells are left", out.Events.Left, out.Rows.Left)
	}
	if err != nil {
		h.Faults.Degraded("erase", err)
		return apierror.Unavailable("ERASURE_INCOMPLETE", "not everything is erased yet; ask again", 2*time.Second, err)
	}
	h.Faults.Recovered("erase")
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encoding receipt: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	edge.WriteBody(w, edge.TypeJSON, body)
	return nil
}

func (h *Handler) eraseRow(ctx context.Context, key store.Key, at time.Time) (out erasure, err error) {
	before, err := h.Rows.Read(ctx, key, store.Versions)
	if err != nil {
		return out, fmt.Errorf("reading row before erasing: %w", err)
	}
	if err := h.Rows.Delete(ctx, key, at); err != nil {
		return out, fmt.Errorf("erasing row: %w", err)
	}
	after, err := h.Rows.Read(ctx, key, store.Versions)
	if err != nil {
		return out, fmt.Errorf("looking at the row again: %w", err)
	}
	return erasure{int64(len(before.Cells)), int64(len(after.Cells))}, nil
}
