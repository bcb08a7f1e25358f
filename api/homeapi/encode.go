package homeapi

import (
	"fmt"
	"maps"
	"strconv"

	"google.golang.org/protobuf/proto"

	"homefeed/api/cardtoken"
	"homefeed/api/home"
	"homefeed/api/homepb"
	"homefeed/api/homequery"
	"homefeed/shelves/shelfpb"
)

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
func (a *API) encode(ws *workspace, f homequery.Form, make arrange) (*answer, error) {
	return a.encodeAs(ws, f, make, func() proto.Message { return new(homepb.Home) })
}

// encodeShelf does the same for one shelf.
func (a *API) encodeShelf(ws *workspace, f homequery.Form, make arrange) (*answer, error) {
	return a.encodeAs(ws, f, make, func() proto.Message { return new(shelfpb.Shelf) })
}

func (a *API) encodeAs(ws *workspace, f homequery.Form, arrange arrange, message func() proto.Message) (*answer, error) {
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
		if !f.Wire() {
			m := message()
			if err := proto.Unmarshal(body, m); err != nil {
				if broken, err = a.findBroken(h, broken, err); err != nil {
					return nil, fmt.Errorf("decoding Home: %w", err)
				}
				continue
			}
			if ws.encoded, err = f.Append(ws.encoded[:0], m); err != nil {
				return nil, err
			}
			body = ws.encoded
		}
		if out.body, out.form.Encoding, err = a.bodies.Compress(body, f.Encoding); err != nil {
			return nil, err
		}
		out.kind, out.encoding, out.length = a.kinds[f.Protobuf], a.encodings[out.form.Encoding], []string{strconv.Itoa(len(out.body))}
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
