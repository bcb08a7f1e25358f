// Package songsplayed is the service that remembers what listeners played, hearted and followed: the server over a
// Table, and the client that the pipeline records with and that shelves read with. The service alone owns its
// table; localtable and bigtabletable are the two there are.
package songsplayed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/erasures"
	"homefeed/services/songsplayed/rowkey"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/services/songsplayed/tally"
)

// The limits that songsplayed.proto promises.
const (
	MaxRecord = 10_000  // actions of one Record
	MaxList   = 10_000  // plays, hearts or follows of one answer
	MaxCount  = 1_000   // tracks, and artists, of one CountPlays
	MaxScan   = 100_000 // rows that one call reads
)

const (
	defaultList  = 1_000
	defaultCount = 100
	// checkEvery is after how many rows a scan looks whether its caller still waits.
	checkEvery = 1024
)

// Options says what a Server works with.
type Options struct {
	// Table is needed. It stays the caller's to close, after the server has stopped.
	Table Table
	// ArtistsOf names the artist of each track that it knows, for counts by artist; nil means no such counts.
	// It is asked about at most 1,000 tracks at once. ArtistsFrom makes one from a catalogue's client.
	ArtistsOf func(ctx context.Context, tracks []string) (map[string]string, error)
	// Registerer takes the metrics; nil: they are not registered.
	Registerer prometheus.Registerer
	// Alone says that no other server uses the table. Then what was erased is known without asking the table each time.
	Alone bool
	// Now is the clock that erasures are dated by; those of all servers may be apart by some minutes. nil: time.Now.
	Now func() time.Time
}

// Server answers songsplayed.proto. All its methods are safe for concurrent use.
type Server struct {
	songsplayedpb.UnimplementedSongsPlayedServer
	table    Table
	artists  *artists // nil without a catalogue
	erasures *erasures.Index
	alone    bool
	metrics  *metrics
	now      func() time.Time
	tallies  tally.Pool
}

// NewServer fails without a table, or when its metrics are registered already.
func NewServer(o Options) (*Server, error) {
	if o.Table == nil {
		return nil, errors.New("songs-played server: Table: want a table")
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("songs-played server: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{table: o.Table, erasures: erasures.New(o.Table, o.Now), alone: o.Alone, metrics: m, now: o.Now}
	if o.ArtistsOf != nil {
		s.artists = newArtists(o.ArtistsOf, artistCache, m.artistLookups)
	}
	return s, nil
}

// Register makes r, an *rpc.Server for one, answer with s.
func Register(r grpc.ServiceRegistrar, s *Server) { songsplayedpb.RegisterSongsPlayedServer(r, s) }

// Record stores the actions as one batch and returns when they are durable, but for those that their listeners had
// erased before they came.
func (s *Server) Record(ctx context.Context, req *songsplayedpb.RecordRequest) (*songsplayedpb.RecordResponse, error) {
	actions := req.GetActions()
	if len(actions) > MaxRecord {
		return nil, rpc.Invalid("actions", fmt.Sprintf("want at most %d", MaxRecord))
	}
	size := 0
	for _, a := range actions {
		size += MaxKey - 64 - 128 + len(a.GetUser()) + len(a.GetObject())
	}
	keys := make([]byte, 0, size) // of all rows, one after the other
	rows := make([]Row, len(actions))
	var count [256]int // by family
	for i, a := range actions {
		f, bad := check(a)
		if bad != nil {
			return nil, rpc.Invalid(fmt.Sprintf("actions[%d].%s", i, bad.Field), bad.Want)
		}
		begin := len(keys)
		keys = rowkey.Append(keys, a.GetUser(), f, a.GetTimeMs(), a.GetObject())
		rows[i] = Row{Key: keys[begin:len(keys):len(keys)], Time: a.GetTimeMs()}
		count[f]++
	}
	if err := s.table.Put(ctx, rows); err != nil {
		return nil, tableError("recording actions", err)
	}
	if err := s.forget(ctx, actions); err != nil {
		return nil, tableError("forgetting what was erased", err)
	}
	for f, n := range count {
		if n > 0 {
			s.metrics.actions.WithLabelValues(rowkey.Family(f).String()).Add(float64(n))
		}
	}
	return &songsplayedpb.RecordResponse{}, nil
}

// ListPlays lists plays, newest first.
func (s *Server) ListPlays(ctx context.Context, req *songsplayedpb.ListPlaysRequest) (*songsplayedpb.ListPlaysResponse, error) {
	in, err := newSpan(rowkey.Plays, req.GetUser(), req.GetStart(), req.GetEnd())
	if err != nil {
		return nil, err
	}
	found, truncated, err := s.list(ctx, in, req.GetPageSize(), req.GetDistinctTracks())
	if err != nil {
		return nil, tableError("reading plays", err)
	}
	return &songsplayedpb.ListPlaysResponse{Plays: toPlays(found), Truncated: truncated}, nil
}

// ListHearts lists each hearted track once, hearted last first.
func (s *Server) ListHearts(ctx context.Context, req *songsplayedpb.ListHeartsRequest) (*songsplayedpb.ListHeartsResponse, error) {
	in, err := newSpan(rowkey.Hearts, req.GetUser(), nil, req.GetEnd())
	if err != nil {
		return nil, err
	}
	found, truncated, err := s.list(ctx, in, req.GetPageSize(), true)
	if err != nil {
		return nil, tableError("reading hearts", err)
	}
	return &songsplayedpb.ListHeartsResponse{Hearts: toPlays(found), Truncated: truncated}, nil
}

// ListFollows lists each followed artist once, followed last first.
func (s *Server) ListFollows(ctx context.Context, req *songsplayedpb.ListFollowsRequest) (*songsplayedpb.ListFollowsResponse, error) {
	in, err := newSpan(rowkey.Follows, req.GetUser(), nil, req.GetEnd())
	if err != nil {
		return nil, err
	}
	found, truncated, err := s.list(ctx, in, req.GetPageSize(), true)
	if err != nil {
		return nil, tableError("reading follows", err)
	}
	resp := &songsplayedpb.ListFollowsResponse{Follows: make([]*songsplayedpb.Follow, len(found)), Truncated: truncated}
	for i, e := range found {
		resp.Follows[i] = &songsplayedpb.Follow{Artist: e.object, TimeMs: e.ms}
	}
	return resp, nil
}

func toPlays(found []entry) []*songsplayedpb.Play {
	list, all := make([]*songsplayedpb.Play, len(found)), make([]songsplayedpb.Play, len(found))
	for i, e := range found {
		all[i].Track, all[i].TimeMs = e.object, e.ms
		list[i] = &all[i]
	}
	return list
}

// tableError says what the service was doing when its table failed; a closed one is a server that is going away.
func tableError(doing string, err error) error {
	if errors.Is(err, ErrClosed) {
		return fmt.Errorf("%s: %w: %w", doing, rpc.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// span is a listener's actions of one family at times start ≤ ms < end.
type span struct {
	family     rowkey.Family
	user       string
	start, end int64
}

// newSpan checks a request's range. Times without a whole millisecond count as the next one: start is included and
// end is not, and actions have whole ones.
func newSpan(f rowkey.Family, user string, start, end *timestamppb.Timestamp) (span, error) {
	s := span{family: f, user: user, end: rowkey.MaxMillis + 1}
	if !event.ValidUser(user) {
		return s, rpc.Invalid("user", wantUser)
	}
	if start != nil {
		if !start.IsValid() {
			return s, rpc.Invalid("start", "want a time of the years 1 to 9999")
		}
		s.start = ceilMillis(start)
	}
	if end != nil {
		if !end.IsValid() {
			return s, rpc.Invalid("end", "want a time of the years 1 to 9999")
		}
		s.end = ceilMillis(end)
	}
	return s, nil
}

// ceilMillis is t in whole milliseconds, rounded up, within what keys can hold.
func ceilMillis(t *timestamppb.Timestamp) int64 {
	ms := t.GetSeconds()*1000 + (int64(t.GetNanos())+999_999)/1_000_000
	return min(max(ms, 0), rowkey.MaxMillis+1)
}
