package songsplayed

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/songsplayedpb"
)

// tombstone is the object of a row of family erased.
const tombstone = "all"

// Erase marks first and deletes then: an action that comes in between is hidden already.
func (s *Server) Erase(ctx context.Context, req *songsplayedpb.EraseRequest) (*songsplayedpb.EraseResponse, error) {
	if !event.ValidUser(req.GetUser()) {
		return nil, rpc.Invalid("user", wantUser)
	}
	if !req.GetAt().IsValid() || req.GetAt().AsTime().UnixMilli() < 0 || ceilMillis(req.GetAt()) > maxMillis {
		return nil, rpc.Invalid("at", "want a time from 1970 to 2286")
	}
	at := ceilMillis(req.GetAt())
	mark := appendMillis(appendPrefix(nil, req.GetUser(), erased), at)
	mark = append(append(mark, '#'), tombstone...)
	if err := s.table.Put(ctx, []Row{{Key: mark, Time: at}}); err != nil {
		return nil, tableError("marking erasure", err)
	}
	resp := new(songsplayedpb.EraseResponse)
	for _, f := range []family{plays, hearts, follows} {
		from, to, _ := bounds(req.GetUser(), f, 0, at+1)
		if err := s.tally(ctx, from, to, &resp.Deleted); err != nil {
			return nil, tableError("counting actions", err)
		}
		if err := s.table.Delete(ctx, from, to); err != nil {
			return nil, tableError("erasing actions", err)
		}
		if err := s.tally(ctx, from, to, &resp.Left); err != nil {
			return nil, tableError("looking again", err)
		}
	}
	return resp, nil
}

// tally adds the number of rows to n.
func (s *Server) tally(ctx context.Context, from, to []byte, n *int64) error {
	return s.table.Scan(ctx, from, to, MaxScan, func([]byte) bool { *n++; return true })
}

// erasedAt is up to when the listener's actions are erased, in milliseconds; -1: nothing is.
func (s *Server) erasedAt(ctx context.Context, user string) (at int64, err error) {
	from, to, prefix := bounds(user, erased, 0, maxMillis+1)
	at = -1
	var malformed error
	err = s.table.Scan(ctx, from, to, 1, func(key []byte) bool { // the newest comes first
		_, at, malformed = parseKey(key, prefix)
		return false
	})
	if err == nil {
		err = malformed
	}
	return at, err
}

// Erase forgets what the listener did up to and including at, for good. It says how many actions were deleted, counted
// up to MaxScan of each kind, and how many were found when looking again. Calling it again is safe.
func (c *Client) Erase(ctx context.Context, user string, at time.Time) (deleted, left int64, err error) {
	resp, err := c.service.Erase(ctx, &songsplayedpb.EraseRequest{User: user, At: timestamppb.New(at)})
	if err != nil {
		return 0, 0, fmt.Errorf("erasing a listener's actions: %w", err)
	}
	return resp.GetDeleted(), resp.GetLeft(), nil
}
