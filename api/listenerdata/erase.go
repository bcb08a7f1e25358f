package listenerdata

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"homefeed/api/apierror"
	"homefeed/api/edge"
	"homefeed/api/identity"
	"homefeed/pipeline/event"
	"homefeed/shelves/store"
)

// receipt says what DELETE /v1/users/{user} has erased. It is written once everything was looked at again.
type receipt struct {
	// At is up to when: nothing of that time or before it is kept, whenever it comes. It is when the request came, or
	// later if what was there said so because a phone's clock is ahead.
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
	user, key, err := own(r, who)
	if err != nil {
		return err
	}
	if h.Events == nil {
		return unavailable()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eraseTimeout)
	defer cancel()
	out := receipt{At: h.Now().UTC().Truncate(time.Millisecond)}
	if out.At, out.Events.Deleted, out.Events.Left, err = h.Events.Erase(ctx, user, out.At, event.MaxAhead); err == nil {
		err = h.eraseRow(ctx, key, &out)
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

func (h *Handler) eraseRow(ctx context.Context, key store.Key, out *receipt) error {
	before, err := h.Rows.Read(ctx, key, store.Versions)
	if err != nil {
		return fmt.Errorf("reading row before erasing: %w", err)
	}
	for _, c := range before.Cells { // what was hidden has the time of hiding, by the clock of another API
		if c.AsOf.After(out.At) {
			out.At = c.AsOf
		}
	}
	if err := h.Rows.Delete(ctx, key, out.At); err != nil {
		return fmt.Errorf("erasing row: %w", err)
	}
	after, err := h.Rows.Read(ctx, key, store.Versions)
	if err != nil {
		return fmt.Errorf("looking at the row again: %w", err)
	}
	out.Rows = erasure{int64(len(before.Cells)), int64(len(after.Cells))}
	return nil
}
