package homequery

import (
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/compress"
	"homefeed/api/edge"
	"homefeed/api/homepb"
	"homefeed/shelves/shelfpb"
)

// Form is how a client wants its answer. It is comparable, so it can be in a cache's key.
type Form struct {
	Protobuf bool // else JSON
	Basic    bool
	Encoding string // "", "gzip" or "br"
}

// FormOf reads it from a request's headers; whether it is basic is the Query's to say.
func FormOf(r *http.Request, basic bool) Form {
	return Form{edge.WantsProtobuf(r), basic, compress.Choose(edge.Get(r, "Accept-Encoding"))}
}

// Wire reports whether the form is the encoded message as it is.
func (f Form) Wire() bool { return f.Protobuf && !f.Basic }

// Append appends the message, a Home or a Shelf, which it may change. It writes empty lists and texts in JSON too, so that
// clients can rely on every field.
func (f Form) Append(dst []byte, m proto.Message) (body []byte, err error) {
	if f.Basic {
		makeBasic(m)
	}
	if f.Protobuf {
		body, err = proto.MarshalOptions{}.MarshalAppend(dst, m)
	} else {
		body, err = protojson.MarshalOptions{EmitDefaultValues: true}.MarshalAppend(dst, m)
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
