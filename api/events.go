package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/home"
	"homefeed/api/identity"
	"homefeed/api/intake"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/store"
)

// maxBody is the largest body of POST /v1/events.
const maxBody = 1 << 20

// events answers POST /v1/events. It answers once every good event is durable on the bus; if the bus doesn't take
// one, nothing is said to be accepted, and sending all again is right: the same id is the same event.
func (a *API) events(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	select {
	case a.intakes <- struct{}{}:
		defer func() { <-a.intakes }()
	default:
		return apierror.Unavailable("INTAKE_BUSY", "too many batches of events at once", time.Second, nil)
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (contentType != typeJSON && !isProtobuf(contentType)) {
		return &apierror.Error{
			Code: code.Code_INVALID_ARGUMENT, HTTP: http.StatusUnsupportedMediaType, Reason: "CONTENT_TYPE",
			Message: "Content-Type: want application/json or application/x-protobuf",
		}
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	reader := intake.Reader{User: who.User, Now: a.now(), Open: a.tokens.Open}
	read := reader.JSON
	if isProtobuf(contentType) {
		read = reader.Protobuf
	}
	batch, err := read(body)
	if err != nil {
		return apierror.BadRequest("BATCH_INVALID", err.Error(),
			apierror.Field{Field: "events", Want: fmt.Sprintf("want 1 to %d events", intake.MaxEvents)})
	}
	if err := a.publish(r.Context(), batch); err != nil {
		a.metrics.events(batch, false)
		a.degraded("publish", err)
		return apierror.Unavailable("BUS_UNAVAILABLE",
			"the events could not be stored; none of them is accepted, send all of them again", 2*time.Second, err)
	}
	a.recovered("publish")
	if err := a.hide(r.Context(), who.User, batch); err != nil {
		a.metrics.events(batch, false)
		return err
	}
	a.metrics.events(batch, true)
	return writeResults(w, r, batch)
}

// maxHidden is how much of it a listener may hide: it is read with every Home.
const maxHidden = 500

// hide stores what the listener hid, in the row that Home is made of: the next one is without it. Each thing has a
// column of its own, so nothing is read to add one, but to see that there is room.
func (a *API) hide(ctx context.Context, user string, batch *intake.Batch) error {
	var cells []store.Cell
	for _, f := range batch.Feedback {
		if f.Hide == "" {
			continue
		}
		c := store.Cell{Shelf: home.HiddenColumn(f.Hide), AsOf: a.now().UTC().Truncate(time.Millisecond)}
		if !f.Undo {
			c.Data = []byte(f.Hide)
		}
		cells = append(cells, c)
	}
	if len(cells) == 0 {
		return nil
	}
	key, err := userKey(user)
	if err != nil {
		return err
	}
	row, err := a.readRow(ctx, key, 1)
	if err == nil && home.HiddenOf(row).Len()+len(cells) > maxHidden {
		return &apierror.Error{
			Code: code.Code_RESOURCE_EXHAUSTED, Reason: "HIDDEN_FULL",
			Message: fmt.Sprintf("a listener may hide %d tracks and artists; show some again first", maxHidden),
		}
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, a.limits.PublishTimeout)
		defer cancel()
		err = a.rows.Write(ctx, key, cells...)
	}
	if err != nil {
		a.degraded("hide", err)
		return apierror.Unavailable("STORE_UNAVAILABLE",
			"what is hidden could not be stored; send all of the events again", 2*time.Second, err)
	}
	a.recovered("hide")
	return nil
}

// publish returns nil once all good events are durable.
func (a *API) publish(ctx context.Context, batch *intake.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, a.limits.PublishTimeout)
	defer cancel()
	for _, t := range batch.Topics {
		if len(t.Messages) == 0 {
			continue
		}
		if err := a.bus.Publish(ctx, t.Kind.Topic(), t.Messages...); err != nil {
			return fmt.Errorf("publishing to %s: %w", t.Kind.Topic(), err)
		}
	}
	return nil
}

func writeResults(w http.ResponseWriter, r *http.Request, batch *intake.Batch) error {
	w.Header().Set("Cache-Control", "no-store")
	answer := &eventpb.WriteEventsResponse{Results: batch.Results}
	if wantsProtobuf(r) {
		body, err := proto.Marshal(answer)
		if err != nil {
			return fmt.Errorf("encoding results: %w", err)
		}
		writeBody(w, typeProtobuf, body)
		return nil
	}
	body, err := protojson.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encoding results: %w", err)
	}
	writeBody(w, typeJSON, body)
	return nil
}

// readBody reads at most maxBody. The memory is the request's own: messages share it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, &apierror.Error{
			Code: code.Code_INVALID_ARGUMENT, Reason: "BODY_INCOMPLETE", Message: "the body could not be read", Cause: err,
		}
	}
	return body.Bytes(), nil
}

// writeBody drops errors of writing, as writeAnswer does.
func writeBody(w http.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}
