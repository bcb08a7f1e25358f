package songsplayed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
	"homefeed/services/songsplayed/songsplayedpb"
)

func memoryTable(t testing.TB) *localtable.Table {
	t.Helper()
	table, err := localtable.Open("table", localtable.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

// connect serves o in process.
func connect(t testing.TB, o songsplayed.Options) *grpc.ClientConn {
	t.Helper()
	service, err := songsplayed.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return connectTo(t, service)
}

func connectTo(t testing.TB, service songsplayedpb.SongsPlayedServer) *grpc.ClientConn {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	songsplayedpb.RegisterSongsPlayedServer(server, service)
	conn, stop, err := rpc.InProcess(server, rpc.DialOptions{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return conn
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func happened(k event.Kind, user, object string, ms int64) event.Event {
	return event.Event{ID: fmt.Sprint(k, user, object, ms), Kind: k, User: user, Object: object, Time: at(ms)}
}

func record(t testing.TB, conn grpc.ClientConnInterface, events ...event.Event) {
	t.Helper()
	if err := songsplayed.NewClient(conn).Record(context.Background(), events); err != nil {
		t.Fatal(err)
	}
}

func TestListPlays(t *testing.T) {
	conn := connect(t, songsplayed.Options{Table: memoryTable(t)})
	record(t, conn,
		happened(event.Played, "ann", "a", 1000), happened(event.Played, "ann", "b", 2000),
		happened(event.Played, "ann", "a", 3000), happened(event.Played, "ann", "c", 3000),
		happened(event.Played, "bob", "z", 2500), happened(event.Hearted, "ann", "h", 2500))
	service := songsplayedpb.NewSongsPlayedClient(conn)
	play := func(track string, ms int64) *songsplayedpb.Play { return &songsplayedpb.Play{Track: track, TimeMs: ms} }
	micros := func(us int64) *timestamppb.Timestamp { return timestamppb.New(time.UnixMicro(us)) }
	for _, test := range []struct {
		name string
		req  *songsplayedpb.ListPlaysRequest
		want []*songsplayedpb.Play
	}{
		{"all", &songsplayedpb.ListPlaysRequest{},
			[]*songsplayedpb.Play{play("a", 3000), play("c", 3000), play("b", 2000), play("a", 1000)}},
		{"a page", &songsplayedpb.ListPlaysRequest{PageSize: 2}, []*songsplayedpb.Play{play("a", 3000), play("c", 3000)}},
		{"a page over the most", &songsplayedpb.ListPlaysRequest{PageSize: math.MaxInt32, DistinctTracks: true},
			[]*songsplayedpb.Play{play("a", 3000), play("c", 3000), play("b", 2000)}},
		{"start is included, end is not", &songsplayedpb.ListPlaysRequest{Start: micros(1_000_000), End: micros(3_000_000)},
			[]*songsplayedpb.Play{play("b", 2000), play("a", 1000)}},
		{"between milliseconds", &songsplayedpb.ListPlaysRequest{Start: micros(1_000_001), End: micros(3_000_001)},
			[]*songsplayedpb.Play{play("a", 3000), play("c", 3000), play("b", 2000)}},
		{"before 1970", &songsplayedpb.ListPlaysRequest{Start: micros(-5), End: micros(-1)}, nil},
		{"nothing of a backward range", &songsplayedpb.ListPlaysRequest{Start: micros(3_000_000), End: micros(1_000_000)}, nil},
		{"the year 9999", &songsplayedpb.ListPlaysRequest{Start: &timestamppb.Timestamp{Seconds: 253_402_300_799},
			End: &timestamppb.Timestamp{Seconds: 253_402_300_799, Nanos: 999_999_999}}, nil},
		{"distinct within a range", &songsplayedpb.ListPlaysRequest{DistinctTracks: true, End: micros(3_000_000)},
			[]*songsplayedpb.Play{play("b", 2000), play("a", 1000)}},
	} {
		test.req.User = "ann"
		got, err := service.ListPlays(t.Context(), test.req)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(&songsplayedpb.ListPlaysResponse{Plays: test.want}, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestInvalidRequests(t *testing.T) {
	service := songsplayedpb.NewSongsPlayedClient(connect(t, songsplayed.Options{Table: memoryTable(t)}))
	ctx := t.Context()
	never := &timestamppb.Timestamp{Nanos: -1}
	good := &songsplayedpb.Action{Kind: songsplayedpb.Kind_KIND_PLAYED, User: "ann", Object: "t1"}
	for name, call := range map[string]func() error{
		"user": func() error {
			_, err := service.ListPlays(ctx, &songsplayedpb.ListPlaysRequest{User: "a#b"})
			return err
		},
		"start": func() error {
			_, err := service.CountPlays(ctx, &songsplayedpb.CountPlaysRequest{User: "ann", Start: never})
			return err
		},
		"end": func() error {
			_, err := service.ListHearts(ctx, &songsplayedpb.ListHeartsRequest{User: "ann", End: never})
			return err
		},
		"page_size": func() error {
			_, err := service.ListFollows(ctx, &songsplayedpb.ListFollowsRequest{User: "ann", PageSize: -1})
			return err
		},
		"actions": func() error {
			_, err := service.Record(ctx, &songsplayedpb.RecordRequest{Actions: make([]*songsplayedpb.Action, songsplayed.MaxRecord+1)})
			return err
		},
		"actions[1].user": func() error {
			_, err := service.Record(ctx, &songsplayedpb.RecordRequest{Actions: []*songsplayedpb.Action{good, {Kind: 1}, {}}})
			return err
		},
	} {
		err := call()
		var field *rpc.FieldError
		if status.Code(err) != codes.InvalidArgument || !errors.As(err, &field) || field.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := service.ListPlays(ctx, &songsplayedpb.ListPlaysRequest{User: "ann"}); err != nil || len(got.GetPlays()) > 0 {
		t.Errorf("after a bad batch: %v, error %v; want none of it stored", got, err)
	}
}

// TestTruncated has one listener with more plays than a call reads.
func TestTruncated(t *testing.T) {
	conn := connect(t, songsplayed.Options{Table: memoryTable(t)})
	service := songsplayedpb.NewSongsPlayedClient(conn)
	events := make([]event.Event, songsplayed.MaxScan+1)
	for i := range events {
		events[i] = happened(event.Played, "ann", "t", int64(i))
	}
	record(t, conn, events[1:]...)
	check := func(truncated bool) {
		t.Helper()
		counts, err := service.CountPlays(t.Context(), &songsplayedpb.CountPlaysRequest{User: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		want := &songsplayedpb.CountPlaysResponse{Truncated: truncated, Tracks: []*songsplayedpb.Count{
			{Id: "t", Plays: songsplayed.MaxScan, FirstMs: 1, LastMs: songsplayed.MaxScan}}}
		if diff := cmp.Diff(want, counts, protocmp.Transform()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		list, err := service.ListPlays(t.Context(), &songsplayedpb.ListPlaysRequest{User: "ann", DistinctTracks: true})
		if err != nil || len(list.GetPlays()) != 1 || list.GetTruncated() != truncated {
			t.Errorf("distinct tracks: %v, error %v", list, err)
		}
		page, err := service.ListPlays(t.Context(), &songsplayedpb.ListPlaysRequest{User: "ann", PageSize: math.MaxInt32})
		if err != nil || len(page.GetPlays()) != songsplayed.MaxList || page.GetTruncated() {
			t.Errorf("a full page: %d plays, truncated %t, error %v", len(page.GetPlays()), page.GetTruncated(), err)
		}
	}
	check(false)
	record(t, conn, events[0])
	check(true)
}

// scriptedTable does what its functions say.
type scriptedTable struct {
	put  func() error
	scan func(visit func([]byte) bool) error
}

func (s scriptedTable) Put(context.Context, []songsplayed.Row) error { return s.put() }
func (s scriptedTable) Scan(_ context.Context, from, _ []byte, _ int, visit func([]byte) bool) error {
	if bytes.Contains(from, []byte("#e#")) { // nothing was ever erased
		return nil
	}
	return s.scan(visit)
}
func (s scriptedTable) Delete(context.Context, []byte, []byte) error { return s.put() }
func (s scriptedTable) Close() error                                 { return nil }

// TestTableFails: what goes wrong with the table, and what the caller hears.
func TestTableFails(t *testing.T) {
	var result error
	conn := connect(t, songsplayed.Options{Table: scriptedTable{
		put:  func() error { return result },
		scan: func(func([]byte) bool) error { return result },
	}})
	client := songsplayed.NewClient(conn)
	for _, test := range []struct {
		err  error
		code codes.Code
	}{
		{errors.New("disk on fire"), codes.Internal},
		{fmt.Errorf("writing: %w", songsplayed.ErrClosed), codes.Unavailable},
		{fmt.Errorf("writing: %w", status.Error(codes.NotFound, "no such table")), codes.Internal},
		{fmt.Errorf("writing: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
	} {
		result = test.err
		err := client.Record(t.Context(), []event.Event{happened(event.Played, "ann", "t1", 1)})
		if status.Code(err) != test.code || errors.As(err, new(*songsplayed.InvalidEventError)) {
			t.Errorf("Record: %v, want %s", err, test.code)
		}
		listener := client.For("ann", at(5))
		calls := map[string]func() error{
			"Recent":     func() error { _, err := listener.Recent(t.Context(), 3); return err },
			"Hearts":     func() error { _, err := listener.Hearts(t.Context(), 3); return err },
			"Follows":    func() error { _, err := listener.Follows(t.Context(), 3); return err },
			"TopTracks":  func() error { _, err := listener.TopTracks(t.Context(), 0, 3); return err },
			"TopArtists": func() error { _, err := listener.TopArtists(t.Context(), 0, 3); return err },
		}
		for name, call := range calls {
			if test.code == codes.Unavailable && name != "Recent" {
				continue // one is enough: each is tried again, with pauses
			}
			if err := call(); status.Code(err) != test.code {
				t.Errorf("%s: %v, want %s", name, err, test.code)
			}
		}
	}
}

// TestScanEndsWithItsCaller has a table that goes on for ever, whatever its context says.
func TestScanEndsWithItsCaller(t *testing.T) {
	var cancel context.CancelFunc
	rows := 0
	server, err := songsplayed.NewServer(songsplayed.Options{Table: scriptedTable{scan: func(visit func([]byte) bool) error {
		key := []byte("u#4991#ann#p#8249999999876#t1")
		for visit(key) {
			if rows++; rows == 10 {
				cancel()
			}
		}
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	_, err = server.CountPlays(ctx, &songsplayedpb.CountPlaysRequest{User: "ann"})
	if !errors.Is(err, context.Canceled) || rows > 5000 {
		t.Errorf("read %d rows after its caller went, error %v", rows, err)
	}
}

func TestMalformedRow(t *testing.T) {
	server, err := songsplayed.NewServer(songsplayed.Options{Table: scriptedTable{scan: func(visit func([]byte) bool) error {
		visit([]byte("u#4991#ann#p#nonsense"))
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.ListPlays(t.Context(), &songsplayedpb.ListPlaysRequest{User: "ann"}); err == nil {
		t.Error("a malformed row went unnoticed")
	}
}
