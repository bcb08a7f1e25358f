package songsplayed

import (
	"cmp"
	"context"

	"homefeed/services/rpc"
	"homefeed/services/songsplayed/rowkey"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/services/songsplayed/tally"
)

// scan visits the actions of a span, newest first, and of equal times the smaller object first. It reads at most
// limit rows and never more than MaxScan, which is when it says truncated, and ends with the caller's deadline. An
// object is valid during its visit only. What the listener had erased is not there, also where it was stored later.
func (s *Server) scan(ctx context.Context, in span, limit int, visit func(object []byte, ms int64) bool) (truncated bool, err error) {
	gone, err := s.erasedAt(ctx, in.user)
	if err != nil {
		return false, err
	}
	in.start = max(in.start, gone+1)
	if in.start >= in.end {
		return false, nil
	}
	from, to, prefix := rowkey.Bounds(in.user, in.family, in.start, in.end)
	rows, failed := 0, error(nil)
	// One row over MaxScan tells a span that ends there from one that goes on.
	err = s.table.Scan(ctx, from, to, min(limit, MaxScan+1), func(key []byte) bool {
		if rows++; rows > MaxScan {
			truncated = true
			return false
		}
		if rows%checkEvery == 0 {
			if failed = ctx.Err(); failed != nil {
				return false
			}
		}
		object, ms, err := rowkey.Parse(key, prefix)
		if err != nil {
			failed = err
			return false
		}
		return visit(object, ms)
	})
	s.metrics.scanned.Observe(float64(rows))
	return truncated, cmp.Or(err, failed)
}

// entry is one action of a list.
type entry struct {
	object string
	ms     int64
}

// list is the newest actions of a span, or the newest of each object.
func (s *Server) list(ctx context.Context, in span, pageSize int32, distinct bool) ([]entry, bool, error) {
	n, err := page(pageSize, defaultList, MaxList)
	if err != nil {
		return nil, false, err
	}
	limit := n
	if distinct {
		limit = MaxScan + 1
	}
	var found []entry
	seen := map[string]struct{}{}
	truncated, err := s.scan(ctx, in, limit, func(object []byte, ms int64) bool {
		if distinct {
			if _, again := seen[string(object)]; again {
				return true
			}
		}
		e := entry{object: string(object), ms: ms}
		if distinct {
			seen[e.object] = struct{}{}
		}
		found = append(found, e)
		return len(found) < n
	})
	return found, truncated, err
}

func page(size int32, otherwise, most int) (int, error) {
	switch {
	case size < 0:
		return 0, rpc.Invalid("page_size", "want 0 or more")
	case size == 0:
		return otherwise, nil
	}
	return min(int(size), most), nil
}

// CountPlays counts plays by track, and by artist when there is a catalogue.
func (s *Server) CountPlays(ctx context.Context, req *songsplayedpb.CountPlaysRequest) (*songsplayedpb.CountPlaysResponse, error) {
	in, err := newSpan(rowkey.Plays, req.GetUser(), req.GetStart(), req.GetEnd())
	if err != nil {
		return nil, err
	}
	n, err := page(req.GetPageSize(), defaultCount, MaxCount)
	if err != nil {
		return nil, err
	}
	tracks := s.tallies.Get()
	defer s.tallies.Put(tracks)
	truncated, err := s.scan(ctx, in, MaxScan+1, func(track []byte, ms int64) bool {
		tracks.Of(track).Add(1, ms, ms)
		return true
	})
	if err != nil {
		return nil, tableError("reading plays", err)
	}
	resp := &songsplayedpb.CountPlaysResponse{Truncated: truncated}
	if s.artists != nil && !req.GetTracksOnly() {
		if resp.Artists, err = s.byArtist(ctx, tracks.Counts(), n); err != nil {
			return nil, err
		}
	}
	resp.Tracks = toCounts(tracks.Top(n))
	return resp, nil
}

// byArtist is the n artists with the most plays of the tracks; tracks that the catalogue doesn't know are passed over.
func (s *Server) byArtist(ctx context.Context, tracks []tally.Count, n int) ([]*songsplayedpb.Count, error) {
	ids := make([]string, len(tracks))
	for i := range tracks {
		ids[i] = tracks[i].ID
	}
	artistOf, err := s.artists.of(ctx, ids)
	if err != nil {
		return nil, err
	}
	artists := s.tallies.Get()
	defer s.tallies.Put(artists)
	for i := range tracks {
		t := &tracks[i]
		if artist, known := artistOf[t.ID]; known {
			artists.Of([]byte(artist)).Add(t.Plays, t.First, t.Last)
		}
	}
	return toCounts(artists.Top(n)), nil
}

func toCounts(counts []tally.Count) []*songsplayedpb.Count {
	list, all := make([]*songsplayedpb.Count, len(counts)), make([]songsplayedpb.Count, len(counts))
	for i := range counts {
		c, to := &counts[i], &all[i]
		to.Id, to.Plays, to.FirstMs, to.LastMs = c.ID, c.Plays, c.First, c.Last
		list[i] = to
	}
	return list
}
