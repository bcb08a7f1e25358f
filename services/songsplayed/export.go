package songsplayed

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"

	"homefeed/services/rpc"
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
		listener, f, err := splitKey([]byte(token))
		if err != nil || len(token) > MaxKey {
			return nil, rpc.Invalid("page_token", "want one that ExportPlays has returned")
		}
		from = append([]byte(token), 0) // the key after it
		if f == plays {
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
	resp          *songsplayedpb.ExportPlaysResponse
}

func (e *export) add(key []byte) error {
	listener, f, err := splitKey(key)
	if err != nil || f != plays {
		return err
	}
	track, ms, err := parseKey(key, len(listener)+len("p#"))
	if err != nil {
		return err
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

// splitKey is the part of a key that is the listener's, with the '#' behind it, and the family that follows.
func splitKey(key []byte) (listener []byte, f family, err error) {
	parts := strings.SplitN(string(key), "#", 5) // u, hash, user, family, rest
	if len(parts) < 5 || parts[0] != "u" || len(parts[3]) != 1 {
		return nil, 0, errMalformed
	}
	at := len("u#") + len(parts[1]) + len("#") + len(parts[2]) + len("#")
	return key[:at:at], family(parts[3][0]), nil
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
