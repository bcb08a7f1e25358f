package songsplayed

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"

	"homefeed/services/rpc"
	"homefeed/services/songsplayed/rowkey"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/shelves/shelf"
)

// All keys of the table lie between these.
const (
	firstKey = "u#"
	afterAll = "u$" // the byte after '#'
)

// ExportPlays lists everybody's plays. A page token is the key of the last row that was read.
func (s *Server) ExportPlays(ctx context.Context, req *songsplayedpb.ExportPlaysRequest) (*songsplayedpb.ExportPlaysResponse, error) {
	n, err := page(req.GetPageSize(), defaultList, MaxList)
	if err != nil {
		return nil, err
	}
	e := export{wanted: n, resp: &songsplayedpb.ExportPlaysResponse{}}
	from := []byte(firstKey)
	if token := req.GetPageToken(); token != "" {
		listener, f, err := rowkey.Split([]byte(token))
		if err != nil || len(token) > MaxKey {
			return nil, rpc.Invalid("page_token", "want one that ExportPlays has returned")
		}
		from = append([]byte(token), 0) // the key after it
		if err := s.readErased(ctx, &e, listener); err != nil {
			return nil, tableError("exporting plays", err)
		}
		if f == rowkey.Plays {
			e.listener, e.before = listener, true
		}
	}
	rows, failed := 0, error(nil)
	// A page that is full knows it only at the next row, so that the last page has no token.
	err = s.table.Scan(ctx, from, []byte(afterAll), MaxScan+1, func(key []byte) bool {
		if rows++; rows%checkEvery == 0 {
			failed = ctx.Err()
		}
		if failed != nil {
			return false
		}
		if e.plays == e.wanted || rows > MaxScan {
			e.resp.NextPageToken = string(e.last)
			return false
		}
		e.last = append(e.last[:0], key...)
		failed = e.add(key)
		return failed == nil
	})
	s.metrics.scanned.Observe(float64(rows))
	if err := cmp.Or(err, failed); err != nil {
		return nil, tableError("exporting plays", err)
	}
	return e.resp, nil
}

// export is a page in the making.
type export struct {
	wanted, plays int
	last          []byte // key
	listener      []byte // whose plays the latest ones are, as a prefix of keys
	before        bool   // the latest ones were on the page before
	erasedOf      []byte // a listener, as a prefix of keys
	erasedAt      int64  // up to when that one's plays are erased
	resp          *songsplayedpb.ExportPlaysResponse
}

func (e *export) add(key []byte) error {
	listener, f, err := rowkey.Split(key)
	if err != nil || f != rowkey.Plays {
		if f == rowkey.Erased && err == nil {
			err = e.erase(key, listener)
		}
		return err
	}
	track, ms, err := rowkey.Parse(key, len(listener)+len("p#"))
	if err != nil {
		return err
	}
	if ms <= e.erasedAt && bytes.Equal(listener, e.erasedOf) { // recorded after it was erased
		return nil
	}
	same := bytes.Equal(listener, e.listener)
	if !same || e.before {
		e.listener = append(e.listener[:0], listener...)
		e.resp.Listeners = append(e.resp.Listeners, &songsplayedpb.Listening{Continues: same})
		e.before = false
	}
	to := e.resp.Listeners[len(e.resp.Listeners)-1]
	to.Plays = append(to.Plays, &songsplayedpb.Play{Track: string(track), TimeMs: ms})
	e.plays++
	return nil
}

// erase notes what a listener had erased, which is met before the listener's plays, the newest first.
func (e *export) erase(key, listener []byte) error {
	_, at, err := rowkey.Parse(key, len(listener)+len("e#"))
	if err == nil && !bytes.Equal(listener, e.erasedOf) {
		e.erasedOf, e.erasedAt = append(e.erasedOf[:0], listener...), at
	}
	return err
}

// readErased notes it for a page that begins amid a listener's rows.
func (s *Server) readErased(ctx context.Context, e *export, listener []byte) error {
	from := append(bytes.Clone(listener), byte(rowkey.Erased), '#')
	to := append(bytes.Clone(listener), byte(rowkey.Erased), '#'+1)
	var malformed error
	err := s.table.Scan(ctx, from, to, 1, func(key []byte) bool {
		malformed = e.erase(key, listener)
		return false
	})
	return cmp.Or(err, malformed)
}

// Played is one play of somebody.
type Played struct {
	shelf.Play
	First bool // of the listener; those that follow are the same one's, each older than the one before
}

// Everybody is the plays of all listeners, listener after listener and newest first, without saying whose they are. It
// ends with the first error.
func (c *Client) Everybody(ctx context.Context) iter.Seq2[Played, error] {
	return func(yield func(Played, error) bool) {
		token := ""
		for {
			resp, err := c.service.ExportPlays(ctx, &songsplayedpb.ExportPlaysRequest{PageSize: MaxList, PageToken: token})
			if err != nil {
				yield(Played{}, fmt.Errorf("listing everybody's plays: %w", err))
				return
			}
			for _, listener := range resp.GetListeners() {
				for i, p := range fromPlays(listener.GetPlays()) {
					if !yield(Played{p, i == 0 && !listener.GetContinues()}, nil) {
						return
					}
				}
			}
			if token = resp.GetNextPageToken(); token == "" {
				return
			}
		}
	}
}
