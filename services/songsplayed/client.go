package songsplayed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/shelves/shelf"
)

// Client asks the service over a connection, best one of rpc.Dial, which adds deadlines and retries. It is safe
// for concurrent use.
type Client struct {
	service songsplayedpb.SongsPlayedClient
}

// NewClient makes a client on a connection, which stays the caller's to close.
func NewClient(c grpc.ClientConnInterface) *Client {
	return &Client{service: songsplayedpb.NewSongsPlayedClient(c)}
}

// InvalidEventError says that an event can't be recorded, now or later: it belongs in the dead letter.
type InvalidEventError struct {
	Index int // in what Record was called with
	Cause error
}

func (e *InvalidEventError) Error() string { return fmt.Sprintf("event %d: %v", e.Index, e.Cause) }

// InvalidEvent is the Index, for callers who know the error by its methods only.
func (e *InvalidEventError) InvalidEvent() int { return e.Index }

// Unwrap is the cause, a *rpc.FieldError.
func (e *InvalidEventError) Unwrap() error { return e.Cause }

// Record stores the events, MaxRecord at a time. After nil all of them are durable. An *InvalidEventError names the
// first event that can't be stored; leave it out and record the others again. After any other error, any of the
// events may be stored; recording all of them again is safe.
func (c *Client) Record(ctx context.Context, events []event.Event) error {
	actions := make([]songsplayedpb.Action, len(events))
	request := make([]*songsplayedpb.Action, len(events))
	for i := range events {
		a := &actions[i]
		setAction(a, &events[i])
		if _, bad := check(a); bad != nil {
			return fmt.Errorf("recording events: %w", &InvalidEventError{Index: i, Cause: bad})
		}
		request[i] = a
	}
	for first := 0; first < len(request); first += MaxRecord {
		batch := request[first:min(first+MaxRecord, len(request))]
		if _, err := c.service.Record(ctx, &songsplayedpb.RecordRequest{Actions: batch}); err != nil {
			return fmt.Errorf("recording events: %w", invalidEvent(err, first))
		}
	}
	return nil
}

func setAction(a *songsplayedpb.Action, e *event.Event) {
	a.User, a.Object, a.TimeMs = e.User, e.Object, e.Time.UnixMilli()
	switch e.Kind {
	case event.Played:
		a.Kind = songsplayedpb.Kind_KIND_PLAYED
	case event.Followed:
		a.Kind = songsplayedpb.Kind_KIND_FOLLOWED
	case event.Hearted:
		a.Kind = songsplayedpb.Kind_KIND_HEARTED
	}
}

// invalidEvent finds the event that a server refused though check did not: they may be of different releases.
func invalidEvent(err error, first int) error {
	var field *rpc.FieldError
	var i int
	if errors.As(err, &field) {
		if _, scanErr := fmt.Sscanf(field.Field, "actions[%d].", &i); scanErr == nil {
			return &InvalidEventError{Index: first + i, Cause: field}
		}
	}
	return err
}

// For is what the listener did up to and including asOf, to the millisecond. Nothing is remembered between calls, but
// that TopTracks has what TopArtists asked for of the same time: the service counts tracks to count artists.
// Lists have at most MaxList entries and counts MaxCount, however many are asked for, and read at most the newest
// MaxScan rows.
func (c *Client) For(user string, asOf time.Time) shelf.SongsPlayed {
	end := asOf.Truncate(time.Millisecond).Add(time.Millisecond)
	return &listener{service: c.service, user: user, asOf: asOf, end: timestamppb.New(end)}
}

// listener is the service as a shelf sees it.
type listener struct {
	service songsplayedpb.SongsPlayedClient
	user    string
	asOf    time.Time
	end     *timestamppb.Timestamp

	mu      sync.Mutex
	counted map[time.Duration]*songsplayedpb.CountPlaysResponse // by TopArtists' since
}

func (l *listener) Recent(ctx context.Context, n int) ([]shelf.Play, error) {
	if n <= 0 {
		return nil, nil
	}
	resp, err := l.service.ListPlays(ctx, &songsplayedpb.ListPlaysRequest{
		User: l.user, End: l.end, PageSize: pageSize(n, MaxList), DistinctTracks: true,
	})
	if err != nil {
		return nil, fmt.Errorf("listing recent plays: %w", err)
	}
	return fromPlays(resp.GetPlays()), nil
}

func (l *listener) Hearts(ctx context.Context, n int) ([]shelf.Play, error) {
	if n <= 0 {
		return nil, nil
	}
	resp, err := l.service.ListHearts(ctx, &songsplayedpb.ListHeartsRequest{
		User: l.user, End: l.end, PageSize: pageSize(n, MaxList),
	})
	if err != nil {
		return nil, fmt.Errorf("listing hearts: %w", err)
	}
	return fromPlays(resp.GetHearts()), nil
}

func (l *listener) Follows(ctx context.Context, n int) ([]shelf.Follow, error) {
	if n <= 0 {
		return nil, nil
	}
	resp, err := l.service.ListFollows(ctx, &songsplayedpb.ListFollowsRequest{
		User: l.user, End: l.end, PageSize: pageSize(n, MaxList),
	})
	if err != nil {
		return nil, fmt.Errorf("listing follows: %w", err)
	}
	list := make([]shelf.Follow, len(resp.GetFollows()))
	for i, f := range resp.GetFollows() {
		list[i] = shelf.Follow{Artist: f.GetArtist(), Time: millis(f.GetTimeMs())}
	}
	return list, nil
}

// withArtists is how many tracks TopArtists asks for at least.
const withArtists = 100

func (l *listener) TopTracks(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	if n <= withArtists {
		l.mu.Lock()
		counted := l.counted[since]
		l.mu.Unlock()
		if counted != nil {
			return fromCounts(counted.GetTracks(), n), nil
		}
	}
	resp, err := l.count(ctx, since, n, true)
	if err != nil {
		return nil, fmt.Errorf("counting plays by track: %w", err)
	}
	return fromCounts(resp.GetTracks(), n), nil
}

func (l *listener) TopArtists(ctx context.Context, since time.Duration, n int) ([]shelf.Count, error) {
	if n <= 0 {
		return nil, nil
	}
	resp, err := l.count(ctx, since, max(n, withArtists), false)
	if err != nil {
		return nil, fmt.Errorf("counting plays by artist: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counted == nil {
		l.counted = map[time.Duration]*songsplayedpb.CountPlaysResponse{}
	}
	l.counted[since] = resp
	return fromCounts(resp.GetArtists(), n), nil
}

func (l *listener) count(ctx context.Context, since time.Duration, n int, tracksOnly bool) (*songsplayedpb.CountPlaysResponse, error) {
	if n <= 0 {
		return nil, nil
	}
	req := &songsplayedpb.CountPlaysRequest{
		User: l.user, End: l.end, PageSize: pageSize(n, MaxCount), TracksOnly: tracksOnly,
	}
	if since > 0 {
		req.Start = timestamppb.New(l.asOf.Add(-since))
	}
	return l.service.CountPlays(ctx, req)
}

func pageSize(n, most int) int32 { return int32(min(n, most)) }

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromPlays(list []*songsplayedpb.Play) []shelf.Play {
	played := make([]shelf.Play, len(list))
	for i, p := range list {
		played[i] = shelf.Play{Track: p.GetTrack(), Time: millis(p.GetTimeMs())}
	}
	return played
}

func fromCounts(list []*songsplayedpb.Count, n int) []shelf.Count {
	counts := make([]shelf.Count, max(0, min(len(list), n)))
	for i := range counts {
		c := list[i]
		counts[i] = shelf.Count{ID: c.GetId(), Plays: c.GetPlays(), First: millis(c.GetFirstMs()), Last: millis(c.GetLastMs())}
	}
	return counts
}
