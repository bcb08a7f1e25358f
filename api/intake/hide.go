package intake

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/shelves/store"
)

// maxHidden is how much of it a listener may hide: it is read with every Home.
const maxHidden = 500

// hide stores what the listener hid, in the row that Home is made of: the next one is without it. Each thing has a
// column of its own, so nothing is read to add one, but to see that there is room.
func (h *Handler) hide(ctx context.Context, user string, batch *Batch) error {
	var cells []store.Cell
	for _, f := range batch.Feedback {
		if f.Hide == "" {
			continue
		}
		c := store.Cell{Shelf: home.HiddenColumn(f.Hide), AsOf: h.Now().UTC().Truncate(time.Millisecond)}
		if !f.Undo {
			c.Data = []byte(f.Hide)
		}
		cells = append(cells, c)
	}
	if len(cells) == 0 {
		return nil
	}
	key, err := edge.UserKey(user)
	if err != nil {
		return err
	}
	row, err := h.read(ctx, key)
	if err == nil && home.HiddenOf(row).Len()+len(cells) > maxHidden {
		return &apierror.Error{
			Code: code.Code_RESOURCE_EXHAUSTED, Reason: "HIDDEN_FULL",
			Message: fmt.Sprintf("a listener may hide %d tracks and artists; show some again first", maxHidden),
		}
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, h.PublishTimeout)
		defer cancel()
		err = h.Rows.Write(ctx, key, cells...)
	}
	if err != nil {
		h.Faults.Degraded("hide", err)
		return apierror.Unavailable("STORE_UNAVAILABLE",
			"what is hidden could not be stored; send all of the events again", 2*time.Second, err)
	}
	h.Faults.Recovered("hide")
	return nil
}

func (h *Handler) read(ctx context.Context, key store.Key) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, h.StoreTimeout)
	defer cancel()
	return h.Rows.Read(ctx, key, 1)
}
