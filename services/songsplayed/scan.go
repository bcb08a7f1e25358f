package songsplayed

import (
	"cmp"
	"context"
	"slices"

	"homefeed/services/rpc"
	"homefeed/services/songsplayed/songsplayedpb"
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
	from, to, prefix := bounds(in.user, in.family, in.start, in.end)
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
		object, ms, err := parseKey(key, prefix)
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
	in, err := newSpan(plays, req.GetUser(), req.GetStart(), req.GetEnd())
	if err != nil {
		return nil, err
	}
	n, err := page(req.GetPageSize(), defaultCount, MaxCount)
	if err != nil {
		return nil, err
	}
	tracks := s.tally()
	defer s.giveBack(tracks)
	truncated, err := s.scan(ctx, in, MaxScan+1, func(track []byte, ms int64) bool {
		tracks.of(track).add(1, ms, ms)
		return true
	})
	if err != nil {
		return nil, tableError("reading plays", err)
	}
	resp := &songsplayedpb.CountPlaysResponse{Truncated: truncated}
	if s.artists != nil && !req.GetTracksOnly() {
		artists, err := s.byArtist(ctx, tracks)
		if err != nil {
			return nil, err
		}
		resp.Artists = artists.top(n)
		s.giveBack(artists)
	}
	resp.Tracks = tracks.top(n)
	return resp, nil
}

// byArtist adds up the tracks of each artist; tracks that the catalogue doesn't know are passed over.
func (s *Server) byArtist(ctx context.Context, tracks *tally) (*tally, error) {
	ids := make([]string, len(tracks.counts))
	for i := range tracks.counts {
		ids[i] = tracks.counts[i].id
	}
	artistOf, err := s.artists.of(ctx, ids)
	if err != nil {
		return nil, err
	}
	artists := s.tally()
	for i := range tracks.counts {
		t := &tracks.counts[i]
		if artist, known := artistOf[t.id]; known {
			artists.of([]byte(artist)).add(t.plays, t.first, t.last)
		}
	}
	return artists, nil
}

// count is the plays of a track or an artist; times in milliseconds.
type count struct {
	id                 string
	plays, first, last int64
}

func (c *count) add(plays, first, last int64) {
	if c.plays == 0 {
		c.first, c.last = first, last
	}
	c.plays += plays
	c.first = min(c.first, first)
	c.last = max(c.last, last)
}

// tally is counts by id.
type tally struct {
	index  map[string]int // of counts, until they are sorted
	counts []count
}

// maxTally is the largest tally that is used again, in ids: an index takes as long to clear as it was ever large.
const maxTally = 4096

// tally is an empty one, which giveBack takes when nothing points into it any more.
func (s *Server) tally() *tally {
	if t, ok := s.tallies.Get().(*tally); ok {
		return t
	}
	return &tally{index: map[string]int{}}
}

func (s *Server) giveBack(t *tally) {
	if len(t.counts) <= maxTally {
		clear(t.index)
		clear(t.counts)
		t.counts = t.counts[:0]
		s.tallies.Put(t)
	}
}

// of is the count of an id, valid until the next one is asked for.
func (t *tally) of(id []byte) *count {
	i, known := t.index[string(id)]
	if !known {
		i = len(t.counts)
		t.counts = append(t.counts, count{id: string(id)})
		t.index[t.counts[i].id] = i
	}
	return &t.counts[i]
}

// top is the n with the most plays; of equals, what was played last, and then the smaller id. It ends the counting.
func (t *tally) top(n int) []*songsplayedpb.Count {
	slices.SortFunc(t.counts, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.plays, a.plays), cmp.Compare(b.last, a.last), cmp.Compare(a.id, b.id))
	})
	best := make([]*songsplayedpb.Count, min(n, len(t.counts)))
	counts := make([]songsplayedpb.Count, len(best))
	for i := range best {
		c, to := &t.counts[i], &counts[i]
		to.Id, to.Plays, to.FirstMs, to.LastMs = c.id, c.plays, c.first, c.last
		best[i] = to
	}
	return best
}
