package homeapi

import (
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/compress"
	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/api/homepb"
	"homefeed/shelves/shelfpb"
)

// form is how a client wants its answer.
type form struct {
	protobuf bool
	basic    bool
	encoding string // "", "gzip" or "br"
}

func formOf(r *http.Request, basic bool) form {
	return form{edge.WantsProtobuf(r), basic, compress.Choose(r.Header.Get("Accept-Encoding"))}
}

// encode makes an answer of Home. make is told which shelves' cells turned out not to decode, and called again.
func (a *API) encode(f form, make func(broken map[string]bool) ([]byte, *home.Home, error)) (*answer, error) {
	return a.encodeAs(f, make, func() proto.Message { return new(homepb.Home) })
}

// encodeShelf does the same for one shelf.
func (a *API) encodeShelf(f form, make func(broken map[string]bool) ([]byte, *home.Home, error)) (*answer, error) {
	return a.encodeAs(f, make, func() proto.Message { return new(shelfpb.Shelf) })
}

func (a *API) encodeAs(f form, make func(map[string]bool) ([]byte, *home.Home, error), message func() proto.Message) (*answer, error) {
	broken := map[string]bool{}
	for {
		body, h, err := make(broken)
		if err != nil {
			return nil, err
		}
		out := &answer{form: f, until: h.Until}
		for i := range h.Shelves {
			s := &h.Shelves[i]
			if s.Rung.Broken != nil {
				a.brokenCell(s.Name, s.Rung.Broken)
			}
			out.shelves = append(out.shelves, a.shown(s))
		}
		if !f.protobuf || f.basic {
			m := message()
			if err := proto.Unmarshal(body, m); err != nil {
				if !a.findBroken(h, broken) {
					return nil, fmt.Errorf("decoding Home: %w", err)
				}
				continue
			}
			if body, err = f.marshal(m); err != nil {
				return nil, err
			}
		}
		if out.body, out.form.encoding, err = compress.Body(body, f.encoding); err != nil {
			return nil, err
		}
		out.headers = out.form.headers(len(out.body))
		return out, nil
	}
}

// headers describe a body of the form.
func (f form) headers(length int) []edge.Header {
	contentType := edge.TypeJSON
	if f.protobuf {
		contentType = edge.TypeProtobuf
	}
	h := []edge.Header{
		{Name: "Content-Type", Value: []string{contentType}},
		{Name: "Content-Length", Value: []string{strconv.Itoa(length)}},
	}
	if f.encoding != "" {
		h = append(h, edge.Header{Name: "Content-Encoding", Value: []string{f.encoding}})
	}
	return h
}

// findBroken adds the shelves whose cards don't decode to broken, and reports whether there were any.
func (a *API) findBroken(h *home.Home, broken map[string]bool) (found bool) {
	for i := range h.Shelves {
		s := &h.Shelves[i]
		if err := proto.Unmarshal(s.Rung.Body, new(shelfpb.Shelf)); err != nil && !broken[s.Name] {
			broken[s.Name], found = true, true
			a.brokenCell(s.Name, err)
		}
	}
	return found
}

// marshal writes empty lists and texts in JSON too, so that clients can rely on every field.
func (f form) marshal(m proto.Message) (body []byte, err error) {
	if f.basic {
		makeBasic(m)
	}
	if f.protobuf {
		body, err = proto.Marshal(m)
	} else {
		body, err = protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	}
	if err != nil {
		return nil, &apierror.Error{Code: code.Code_INTERNAL, Reason: "ENCODING", Message: "internal error", Cause: err}
	}
	return body, nil
}

// makeBasic leaves what a list of names needs: no pictures, reasons, contexts or provenance.
func makeBasic(m proto.Message) {
	shelves := []*shelfpb.Shelf{}
	switch m := m.(type) {
	case *homepb.Home:
		shelves = m.Shelves
	case *shelfpb.Shelf:
		shelves = append(shelves, m)
	}
	for _, s := range shelves {
		s.TitleArgs, s.Trigger = nil, ""
		for _, c := range s.Cards {
			c.Image, c.Reason, c.Context = nil, "", ""
		}
	}
}
