package homeapi

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/cardtoken"
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
	return form{edge.WantsProtobuf(r), basic, compress.Choose(edge.Get(r, "Accept-Encoding"))}
}

// workspace is the memory that a Home is made in, one after the other.
type workspace struct {
	arranger home.Arranger
	tokens   *cardtoken.Listener
	body     []byte
	encoded  []byte // body as JSON, or without what is not basic
}

// borrow gets a workspace; the caller gives it back when nothing uses its memory any more.
func (a *API) borrow() *workspace {
	if ws, ok := a.workspaces.Get().(*workspace); ok {
		return ws
	}
	return &workspace{tokens: a.tokens.Nobody(), body: make([]byte, 0, 64<<10)}
}

// giveBack lets the memory of a few huge Homes go.
func (a *API) giveBack(ws *workspace) {
	if cap(ws.body)+cap(ws.encoded) <= 1<<20 {
		a.workspaces.Put(ws)
	}
}

// arrange makes a page or a shelf and its bytes, in the memory of a workspace. It leaves out the cells of broken, which
// turned out not to decode.
type arrange func(ws *workspace, broken map[string]bool) ([]byte, *home.Home, error)

// encode makes an answer of Home, whose body may be the workspace's.
func (a *API) encode(ws *workspace, f form, make arrange) (*answer, error) {
	return a.encodeAs(ws, f, make, func() proto.Message { return new(homepb.Home) })
}

// encodeShelf does the same for one shelf.
func (a *API) encodeShelf(ws *workspace, f form, make arrange) (*answer, error) {
	return a.encodeAs(ws, f, make, func() proto.Message { return new(shelfpb.Shelf) })
}

func (a *API) encodeAs(ws *workspace, f form, arrange arrange, message func() proto.Message) (*answer, error) {
	var broken map[string]bool
	for {
		body, h, err := arrange(ws, broken)
		if err != nil {
			return nil, err
		}
		out := &answer{form: f, until: h.Until, shelves: make([]shownShelf, 0, len(h.Shelves))}
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
				if broken, err = a.findBroken(h, broken, err); err != nil {
					return nil, fmt.Errorf("decoding Home: %w", err)
				}
				continue
			}
			if ws.encoded, err = f.marshal(ws.encoded[:0], m); err != nil {
				return nil, err
			}
			body = ws.encoded
		}
		if out.body, out.form.encoding, err = a.bodies.Compress(body, f.encoding); err != nil {
			return nil, err
		}
		out.kind, out.encoding, out.length = a.kinds[f.protobuf], a.encodings[out.form.encoding], []string{strconv.Itoa(len(out.body))}
		return out, nil
	}
}

// findBroken adds the shelves whose cards don't decode to broken. When there are none it returns why it was called.
func (a *API) findBroken(h *home.Home, broken map[string]bool, why error) (map[string]bool, error) {
	more := maps.Clone(broken)
	for i := range h.Shelves {
		s := &h.Shelves[i]
		if err := proto.Unmarshal(s.Rung.Body, new(shelfpb.Shelf)); err != nil && !broken[s.Name] {
			if more == nil {
				more = map[string]bool{}
			}
			more[s.Name] = true
			a.brokenCell(s.Name, err)
		}
	}
	if len(more) == len(broken) {
		return nil, why
	}
	return more, nil
}

// marshal appends the message. It writes empty lists and texts in JSON too, so that clients can rely on every field.
func (f form) marshal(dst []byte, m proto.Message) (body []byte, err error) {
	if f.basic {
		makeBasic(m)
	}
	if f.protobuf {
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
