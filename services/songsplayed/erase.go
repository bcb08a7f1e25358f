package songsplayed

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/erasures"
	"homefeed/services/songsplayed/rowkey"
	"homefeed/services/songsplayed/songsplayedpb"
)

// tombstone is the object of a row of family erased.
const tombstone = "all"

// maxAhead is the most that EraseRequest.ahead may be.
const maxAhead = 24 * time.Hour

// Erase marks first and deletes then, and Record stores first and looks for marks then. So whatever comes in between,
// one of the two sees the other: nothing that was done by the time of the mark is kept once both have returned.
func (s *Server) Erase(ctx context.Context, req *songsplayedpb.EraseRequest) (*songsplayedpb.EraseResponse, error) {
	if !event.ValidUser(req.GetUser()) {
		return nil, rpc.Invalid("user", wantUser)
	}
	if !req.GetAt().IsValid() || req.GetAt().AsTime().UnixMilli() < 0 || ceilMillis(req.GetAt()) > rowkey.MaxMillis {
		return nil, rpc.Invalid("at", "want a time from 1970 to 2286")
	}
	if ahead := req.GetAhead(); ahead != nil && (!ahead.IsValid() || ahead.AsDuration() < 0 || ahead.AsDuration() > maxAhead) {
		return nil, rpc.Invalid("ahead", "want 0 to 24 hours")
	}
	at, err := s.newest(ctx, req.GetUser(), ceilMillis(req.GetAt()), req.GetAhead().AsDuration())
	if err != nil {
		return nil, tableError("finding the newest action", err)
	}
	resp := &songsplayedpb.EraseResponse{At: timestamppb.New(millis(at))}
	// Counted before there is a mark: with one, a late action that is recorded meanwhile removes all up to it.
	for _, f := range actions {
		if err := s.countUpTo(ctx, req.GetUser(), f, at, &resp.Deleted); err != nil {
			return nil, tableError("counting actions", err)
		}
	}
	s.erasures.Add(req.GetUser())
	mark := rowkey.AppendMillis(rowkey.AppendPrefix(nil, req.GetUser(), rowkey.Erased), at)
	mark = append(append(mark, '#'), tombstone...)
	now := s.now().UnixMilli()
	rows := []Row{{Key: mark, Time: at}, {Key: erasures.Key(req.GetUser(), now), Time: now}}
	if err := s.table.Put(ctx, rows); err != nil {
		return nil, tableError("marking erasure", err)
	}
	if err := s.remove(ctx, req.GetUser(), at); err != nil {
		return nil, tableError("erasing actions", err)
	}
	for _, f := range actions {
		if err := s.countUpTo(ctx, req.GetUser(), f, at, &resp.Left); err != nil {
			return nil, tableError("looking again", err)
		}
	}
	return resp, nil
}

// newest is the time of the listener's newest action up to ahead after at, or at when there is none after it.
func (s *Server) newest(ctx context.Context, user string, at int64, ahead time.Duration) (int64, error) {
	end := min(at+ahead.Milliseconds(), rowkey.MaxMillis)
	newest := at
	for _, f := range actions {
		from, to, prefix := rowkey.Bounds(user, f, at, end+1)
		var malformed error
		err := s.table.Scan(ctx, from, to, 1, func(key []byte) bool {
			var ms int64
			if _, ms, malformed = rowkey.Parse(key, prefix); malformed == nil {
				newest = max(newest, ms)
			}
			return false
		})
		if err == nil {
			err = malformed
		}
		if err != nil {
			return 0, err
		}
	}
	return newest, nil
}

// remove deletes what the listener did up to and including at.
func (s *Server) remove(ctx context.Context, user string, at int64) error {
	for _, f := range actions {
		from, to, _ := rowkey.Bounds(user, f, 0, at+1)
		if err := s.table.Delete(ctx, from, to); err != nil {
			return err
		}
	}
	return nil
}

// countUpTo adds the number of the listener's rows of one family up to and including at to n.
func (s *Server) countUpTo(ctx context.Context, user string, f rowkey.Family, at int64, n *int64) error {
	from, to, _ := rowkey.Bounds(user, f, 0, at+1)
	return s.table.Scan(ctx, from, to, MaxScan, func([]byte) bool { *n++; return true })
}

// forget removes those of the actions, which are stored, that came after their listener had them erased.
func (s *Server) forget(ctx context.Context, stored []*songsplayedpb.Action) error {
	learn := s.erasures.Update
	if s.alone {
		learn = s.erasures.Load
	}
	if err := learn(ctx); err != nil {
		return err
	}
	oldest := map[string]int64{} // of those who may have
	for _, a := range stored {
		if s.erasures.MayHave(a.GetUser()) {
			if ms, known := oldest[a.GetUser()]; !known || a.GetTimeMs() < ms {
				oldest[a.GetUser()] = a.GetTimeMs()
			}
		}
	}
	for user, ms := range oldest {
		at, err := s.erasedAt(ctx, user)
		if err != nil {
			return err
		}
		if ms > at {
			continue
		}
		s.metrics.late.Inc()
		if err := s.remove(ctx, user, at); err != nil {
			return err
		}
	}
	return nil
}

// erasedAt is up to when the listener's actions are erased, in milliseconds; -1: nothing is.
func (s *Server) erasedAt(ctx context.Context, user string) (at int64, err error) {
	if s.alone {
		if err := s.erasures.Load(ctx); err != nil || !s.erasures.MayHave(user) {
			return -1, err
		}
	}
	from, to, prefix := rowkey.Bounds(user, rowkey.Erased, 0, rowkey.MaxMillis+1)
	at = -1
	var malformed error
	err = s.table.Scan(ctx, from, to, 1, func(key []byte) bool { // the newest comes first
		_, at, malformed = rowkey.Parse(key, prefix)
		return false
	})
	if err == nil {
		err = malformed
	}
	return at, err
}

// Erase forgets what the listener did up to and including at, for good, and what is stored by now and claims to be up to
// ahead later. It says up to when everything is erased, how many actions were deleted, counted up to MaxScan of each
// kind, and how many were found when looking again. Calling it again is safe.
func (c *Client) Erase(ctx context.Context, user string, at time.Time, ahead time.Duration) (upTo time.Time, deleted, left int64, err error) {
	resp, err := c.service.Erase(ctx, &songsplayedpb.EraseRequest{User: user, At: timestamppb.New(at), Ahead: durationpb.New(ahead)})
	if err != nil {
		return time.Time{}, 0, 0, fmt.Errorf("erasing a listener's actions: %w", err)
	}
	return resp.GetAt().AsTime(), resp.GetDeleted(), resp.GetLeft(), nil
}
