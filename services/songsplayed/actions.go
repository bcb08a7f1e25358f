package songsplayed

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/rowkey"
	"homefeed/services/songsplayed/songsplayedpb"
)

// ListActions lists what is stored of one listener. A page token is the end of the key of the last row that was read,
// behind the listener's part, so that it can't lead to anybody else's.
func (s *Server) ListActions(ctx context.Context, req *songsplayedpb.ListActionsRequest) (*songsplayedpb.ListActionsResponse, error) {
	if !event.ValidUser(req.GetUser()) {
		return nil, rpc.Invalid("user", wantUser)
	}
	n, err := page(req.GetPageSize(), defaultList, MaxList)
	if err != nil {
		return nil, err
	}
	own := rowkey.AppendPrefix(nil, req.GetUser(), rowkey.Erased)
	own = own[:len(own)-len("e#")]
	from := bytes.Clone(own)
	if token := req.GetPageToken(); token != "" {
		from = append(append(from, token...), 0) // the key after it
		if _, err := actionOf([]byte(token)); err != nil || len(from) > MaxKey+1 {
			return nil, rpc.Invalid("page_token", "want one that ListActions has returned")
		}
	}
	gone, err := s.erasedAt(ctx, req.GetUser())
	if err != nil {
		return nil, tableError("reading erasures", err)
	}
	resp := new(songsplayedpb.ListActionsResponse)
	var last []byte
	rows, failed := 0, error(nil)
	to := append(bytes.Clone(own), byte(rowkey.Plays)+1)
	err = s.table.Scan(ctx, from, to, MaxScan+1, func(key []byte) bool {
		if rows++; rows%checkEvery == 0 {
			failed = ctx.Err()
		}
		if failed != nil {
			return false
		}
		if len(resp.Actions) == n || rows > MaxScan { // a full page knows it only at the next row
			resp.NextPageToken = string(last)
			return false
		}
		last = append(last[:0], key[len(own):]...)
		if last[0] == byte(rowkey.Erased) {
			return true
		}
		action, err := actionOf(last)
		if err != nil {
			failed = err
			return false
		}
		if action.TimeMs > gone {
			resp.Actions = append(resp.Actions, action)
		}
		return true
	})
	s.metrics.scanned.Observe(float64(rows))
	if err := cmp.Or(err, failed); err != nil {
		return nil, tableError("listing actions", err)
	}
	return resp, nil
}

// actionOf reads a key without its listener; that of an erasure is an action of no kind.
func actionOf(key []byte) (*songsplayedpb.Action, error) {
	if len(key) < 2 || key[1] != '#' {
		return nil, rowkey.ErrMalformed
	}
	kind := songsplayedpb.Kind_KIND_UNSPECIFIED
	switch rowkey.Family(key[0]) {
	case rowkey.Plays:
		kind = songsplayedpb.Kind_KIND_PLAYED
	case rowkey.Hearts:
		kind = songsplayedpb.Kind_KIND_HEARTED
	case rowkey.Follows:
		kind = songsplayedpb.Kind_KIND_FOLLOWED
	case rowkey.Erased:
	default:
		return nil, rowkey.ErrMalformed
	}
	object, ms, err := rowkey.Parse(key, len("p#"))
	if err != nil {
		return nil, err
	}
	return &songsplayedpb.Action{Kind: kind, Object: string(object), TimeMs: ms}, nil
}

// Actions is everything that the listener did and that is still known, of each kind the newest first. It ends with the
// first error.
func (c *Client) Actions(ctx context.Context, user string) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		token := ""
		for {
			resp, err := c.service.ListActions(ctx, &songsplayedpb.ListActionsRequest{User: user, PageSize: MaxList, PageToken: token})
			if err != nil {
				yield(event.Event{}, fmt.Errorf("listing a listener's actions: %w", err))
				return
			}
			for _, a := range resp.GetActions() {
				if !yield(event.Event{Kind: kindOf(a.GetKind()), User: user, Object: a.GetObject(), Time: millis(a.GetTimeMs())}, nil) {
					return
				}
			}
			if token = resp.GetNextPageToken(); token == "" {
				return
			}
		}
	}
}

func kindOf(k songsplayedpb.Kind) event.Kind {
	switch k {
	case songsplayedpb.Kind_KIND_FOLLOWED:
		return event.Followed
	case songsplayedpb.Kind_KIND_HEARTED:
		return event.Hearted
	}
	return event.Played
}
