package intake

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/cardtoken"
	"homefeed/api/edge"
	"homefeed/api/faults"
	"homefeed/api/identity"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/store"
)

// Rows is where what a listener hides is kept: their row, which Home is made of.
type Rows interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
	Write(ctx context.Context, key store.Key, cells ...store.Cell) error
}

// Config is what a Handler is made of. All but Registerer is needed.
type Config struct {
	Bus            bus.Publisher
	Rows           Rows
	Open           func(user, uri, context string) (cardtoken.Card, error) // a card's context
	PublishTimeout time.Duration                                           // of one batch, and of hiding
	StoreTimeout   time.Duration                                           // of one read
	AtOnce         int                                                     // batches, each up to edge.MaxBody and what it decodes to
	Faults         *faults.Faults
	Registerer     prometheus.Registerer // nil: not registered
	Now            func() time.Time
}

// Handler is POST /v1/events.
type Handler struct {
	Config
	metrics *metrics
	slots   chan struct{} // one a batch being handled
}

// New makes a Handler. It fails if its metrics' names are taken.
func New(c Config) (*Handler, error) {
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	return &Handler{c, m, make(chan struct{}, c.AtOnce)}, nil
}

// Write answers POST /v1/events. It answers once every good event is durable on the bus; if the bus doesn't take
// one, nothing is said to be accepted, and sending all again is right: the same id is the same event.
func (h *Handler) Write(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return apierror.Unavailable("INTAKE_BUSY", "too many batches of events at once", time.Second, nil)
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (contentType != edge.TypeJSON && !edge.IsProtobuf(contentType)) {
		return &apierror.Error{
			Code: code.Code_INVALID_ARGUMENT, HTTP: http.StatusUnsupportedMediaType, Reason: "CONTENT_TYPE",
			Message: "Content-Type: want application/json or application/x-protobuf",
		}
	}
	body, err := edge.ReadBody(w, r)
	if err != nil {
		return err
	}
	reader := Reader{User: who.User, Now: h.Now(), Open: h.Open}
	read := reader.JSON
	if edge.IsProtobuf(contentType) {
		read = reader.Protobuf
	}
	batch, err := read(body)
	if err != nil {
		return apierror.BadRequest("BATCH_INVALID", err.Error(),
			apierror.Field{Field: "events", Want: fmt.Sprintf("want 1 to %d events", MaxEvents)})
	}
	if err := h.publish(r.Context(), batch); err != nil {
		h.metrics.count(batch, false)
		h.Faults.Degraded("publish", err)
		return apierror.Unavailable("BUS_UNAVAILABLE",
			"the events could not be stored; none of them is accepted, send all of them again", 2*time.Second, err)
	}
	h.Faults.Recovered("publish")
	if err := h.hide(r.Context(), who.User, batch); err != nil {
		h.metrics.count(batch, false)
		return err
	}
	h.metrics.count(batch, true)
	return writeResults(w, r, batch)
}

// publish returns nil once all good events are durable.
func (h *Handler) publish(ctx context.Context, batch *Batch) error {
	ctx, cancel := context.WithTimeout(ctx, h.PublishTimeout)
	defer cancel()
	for _, t := range batch.Topics {
		if len(t.Messages) == 0 {
			continue
		}
		if err := h.Bus.Publish(ctx, t.Kind.Topic(), t.Messages...); err != nil {
			return fmt.Errorf("publishing to %s: %w", t.Kind.Topic(), err)
		}
	}
	feedback := make([]bus.Message, len(batch.Feedback))
	for i := range batch.Feedback {
		feedback[i] = batch.Feedback[i].message
	}
	if len(feedback) == 0 {
		return nil
	}
	if err := h.Bus.Publish(ctx, event.FeedbackTopic, feedback...); err != nil {
		return fmt.Errorf("publishing to %s: %w", event.FeedbackTopic, err)
	}
	return nil
}

func writeResults(w http.ResponseWriter, r *http.Request, batch *Batch) error {
	w.Header().Set("Cache-Control", "no-store")
	answer := &eventpb.WriteEventsResponse{Results: batch.Results}
	if edge.WantsProtobuf(r) {
		body, err := proto.Marshal(answer)
		if err != nil {
			return fmt.Errorf("encoding results: %w", err)
		}
		edge.WriteBody(w, edge.TypeProtobuf, body)
		return nil
	}
	body, err := protojson.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encoding results: %w", err)
	}
	edge.WriteBody(w, edge.TypeJSON, body)
	return nil
}
