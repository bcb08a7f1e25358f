package listenerdata

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/home"
	"homefeed/api/identity"
	"homefeed/pipeline/event"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// exportTimeout bounds an export. A listener has up to some hundred thousand actions, which songs-played lists
// 10,000 at a time.
const exportTimeout = 2 * time.Minute

// line is one line of an export. The first is of type "export", the last of type "end".
type line struct {
	Type   string     `json:"type"`             // export, follow, heart, play, hidden, row or end
	Time   *time.Time `json:"time,omitempty"`   // of what was done; of a row, its as-of; of the export
	Track  string     `json:"track,omitempty"`  // of a play or a heart
	Artist string     `json:"artist,omitempty"` // of a follow
	URI    string     `json:"uri,omitempty"`    // of what is hidden
	Shelf  string     `json:"shelf,omitempty"`  // of a row
	// Data is a row's shelf as in GET /v1/home; Bytes is what is stored, should it not be one.
	Data  json.RawMessage `json:"data,omitempty"`
	Bytes []byte          `json:"bytes,omitempty"`
	Lines int             `json:"lines,omitempty"` // of the end: how many are before it
}

// Export answers GET /v1/users/{user}:export with everything that is kept of the listener, as lines of JSON. It holds one
// page of it at a time. What fails after the first line cuts the answer off, so an export without its last line is none.
func (h *Handler) Export(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	user, key, err := own(r, who)
	if err != nil {
		return err
	}
	if h.Events == nil {
		return unavailable()
	}
	select {
	case h.exports <- struct{}{}:
		defer func() { <-h.exports }()
	default:
		return apierror.Unavailable("EXPORT_BUSY", "too many exports at once", 10*time.Second, nil)
	}
	ctx, cancel := context.WithTimeout(r.Context(), exportTimeout)
	defer cancel()
	row, err := h.Rows.Read(ctx, key, store.Versions)
	if err == nil {
		err = h.export(ctx, w, user, row)
	}
	if err != nil {
		w.Header().Del("Content-Disposition") // an error is nothing to keep
		h.Faults.Degraded("export", err)
		return apierror.Unavailable("EXPORT_INCOMPLETE", "not everything could be read; ask again", 2*time.Second, err)
	}
	h.Faults.Recovered("export")
	return nil
}

// export writes nothing before songs-played has answered, so that its being away is an error like any other.
func (h *Handler) export(ctx context.Context, w http.ResponseWriter, user string, row store.Row) error {
	out := &lines{w: w}
	for e, err := range h.Events.Actions(ctx, user) {
		if err != nil {
			return err
		}
		if err := out.begin(h.Now()); err != nil {
			return err
		}
		if err := out.write(lineOf(e)); err != nil {
			return err
		}
	}
	if err := out.begin(h.Now()); err != nil { // of somebody who did nothing
		return err
	}
	for i := range row.Cells {
		if home.IsHidden(row.Cells[i].Shelf) && len(row.Cells[i].Data) == 0 { // something is shown again
			continue
		}
		one, err := lineOfCell(&row.Cells[i])
		if err != nil {
			return err
		}
		if err := out.write(one); err != nil {
			return err
		}
	}
	return out.end()
}

func lineOf(e event.Event) line {
	l := line{Type: "play", Time: &e.Time, Track: e.Object}
	switch e.Kind {
	case event.Hearted:
		l.Type = "heart"
	case event.Followed:
		l.Type, l.Track, l.Artist = "follow", "", e.Object
	}
	return l
}

func lineOfCell(c *store.Cell) (line, error) {
	l := line{Type: "row", Time: &c.AsOf, Shelf: c.Shelf}
	if home.IsHidden(c.Shelf) {
		l.Type, l.Shelf, l.URI = "hidden", "", string(c.Data)
		return l, nil
	}
	shelf := new(shelfpb.Shelf)
	if proto.Unmarshal(c.Data, shelf) != nil {
		l.Bytes = c.Data
		return l, nil
	}
	var err error
	if l.Data, err = protojson.Marshal(shelf); err != nil {
		return l, fmt.Errorf("encoding row: %w", err)
	}
	return l, nil
}

// lines writes them.
type lines struct {
	w   http.ResponseWriter
	to  *bufio.Writer
	enc *json.Encoder
	n   int
}

// begin does nothing the second time.
func (l *lines) begin(now time.Time) error {
	if l.to != nil {
		return nil
	}
	// The server's own deadline is for short answers; where there is none to move, such as in a test, none is in the way.
	_ = http.NewResponseController(l.w).SetWriteDeadline(time.Now().Add(exportTimeout))
	h := l.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", `attachment; filename="homefeed.jsonl"`)
	h.Set("Cache-Control", "no-store")
	l.to = bufio.NewWriterSize(l.w, 32<<10)
	l.enc = json.NewEncoder(l.to)
	now = now.UTC()
	return l.write(line{Type: "export", Time: &now})
}

func (l *lines) write(one line) error {
	if err := l.enc.Encode(one); err != nil {
		return fmt.Errorf("writing export: %w", err)
	}
	l.n++
	return nil
}

func (l *lines) end() error {
	if err := l.write(line{Type: "end", Lines: l.n}); err != nil {
		return err
	}
	if err := l.to.Flush(); err != nil {
		return fmt.Errorf("writing export: %w", err)
	}
	return nil
}
