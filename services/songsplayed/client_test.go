package songsplayed_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"homefeed/pipeline"
	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/songsplayedpb"
	"homefeed/shelves/shelf"
)

// The pipeline records with a Client, and knows a refusal by its method.
var (
	_ pipeline.Recorder     = (*songsplayed.Client)(nil)
	_ pipeline.InvalidEvent = (*songsplayed.InvalidEventError)(nil)
)

// refusing is a server of another release: it takes batches, and refuses an action that the client lets through.
type refusing struct {
	songsplayedpb.UnimplementedSongsPlayedServer
	batches []int
	object  string
}

func (r *refusing) Record(_ context.Context, req *songsplayedpb.RecordRequest) (*songsplayedpb.RecordResponse, error) {
	r.batches = append(r.batches, len(req.GetActions()))
	for i, a := range req.GetActions() {
		if a.GetObject() == r.object {
			return nil, rpc.Invalid(fmt.Sprintf("actions[%d].object", i), "want another")
		}
	}
	return &songsplayedpb.RecordResponse{}, nil
}

func TestRecordSplits(t *testing.T) {
	server := &refusing{object: "t20003"}
	client := songsplayed.NewClient(connectTo(t, server))
	events := make([]event.Event, 25_000)
	for i := range events {
		events[i] = happened(event.Played, "ann", fmt.Sprintf("t%d", i), int64(i))
	}
	err := client.Record(t.Context(), events)
	var invalid *songsplayed.InvalidEventError
	var field *rpc.FieldError
	if !errors.As(err, &invalid) || invalid.Index != 20_003 || !errors.As(err, &field) {
		t.Errorf("%v: want an InvalidEventError of event 20003", err)
	}
	if diff := gocmp.Diff([]int{10_000, 10_000, 5_000}, server.batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	server.object = ""
	if err := client.Record(t.Context(), events); err != nil {
		t.Error(err)
	}
	if err := client.Record(t.Context(), nil); err != nil {
		t.Errorf("nothing to record: %v", err)
	}
}

// TestRecordRefuses: one event that can't be stored is named before anything is sent.
func TestRecordRefuses(t *testing.T) {
	server := &refusing{}
	client := songsplayed.NewClient(connectTo(t, server))
	events := make([]event.Event, 15_000)
	for i := range events {
		events[i] = happened(event.Played, "ann", "t", int64(i))
	}
	events[12_345].User = "a#b"
	var invalid *songsplayed.InvalidEventError
	if err := client.Record(t.Context(), events); !errors.As(err, &invalid) || invalid.Index != 12_345 {
		t.Errorf("%v: want an InvalidEventError of event 12345", err)
	}
	if len(server.batches) > 0 {
		t.Errorf("batches of %v were sent", server.batches)
	}
	for _, e := range []event.Event{
		happened(0, "ann", "t", 1), happened(event.Hearted, "ann", "", 1), happened(event.Followed, "ann", "a", -1),
	} {
		if err := client.Record(t.Context(), []event.Event{e}); !errors.As(err, &invalid) || invalid.Index != 0 {
			t.Errorf("%+v: %v, want an InvalidEventError", e, err)
		}
	}
}

func TestNewServer(t *testing.T) {
	if _, err := songsplayed.NewServer(songsplayed.Options{}); err == nil {
		t.Error("without a table: no error")
	}
	o := songsplayed.Options{Table: memoryTable(t), Registerer: prometheus.NewRegistry()}
	if _, err := songsplayed.NewServer(o); err != nil {
		t.Error(err)
	}
	if _, err := songsplayed.NewServer(o); err == nil {
		t.Error("metrics registered twice: no error")
	}
}

// catalogue knows that t<n> is by artist a<n mod 3>, but for t4.
type catalogue struct{ shelf.Catalog }

func (catalogue) Tracks(_ context.Context, ids ...string) (map[string]*shelf.Track, error) {
	known := map[string]*shelf.Track{}
	for _, id := range ids {
		if a := artistOf(id); a != "" {
			known[id] = &shelf.Track{ID: id, Artist: a}
		}
	}
	return known, nil
}

func artistOf(track string) string {
	if track == "t4" {
		return ""
	}
	return fmt.Sprintf("a%d", (track[1]-'0')%3)
}

// TestArtistsAway: whoever wants no artists doesn't suffer when the catalogue is away.
func TestArtistsAway(t *testing.T) {
	conn := connect(t, songsplayed.Options{Table: memoryTable(t),
		ArtistsOf: func(context.Context, []string) (map[string]string, error) { return nil, errors.New("away") }})
	record(t, conn, happened(event.Played, "ann", "t1", 1))
	listener := songsplayed.NewClient(conn).For("ann", at(1))
	if top, err := listener.TopTracks(t.Context(), 0, 5); err != nil || len(top) != 1 {
		t.Errorf("TopTracks: %v, error %v", top, err)
	}
	if top, err := listener.TopArtists(t.Context(), 0, 5); err == nil {
		t.Errorf("TopArtists: %v and no error", top)
	}
}

// TestAgainstModel records events in any batches, any order and any number of times, and compares every answer, as
// of any time, with what a few plain loops say about the set of them.
func TestAgainstModel(t *testing.T) {
	client := songsplayed.NewClient(connect(t, songsplayed.Options{
		Table: memoryTable(t), ArtistsOf: songsplayed.ArtistsFrom(catalogue{}),
	}))
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		user := fmt.Sprintf("listener-%d", run)
		one := rapid.Custom(func(t *rapid.T) event.Event {
			return happened(rapid.SampledFrom(event.Kinds[:]).Draw(t, "kind"), user,
				rapid.SampledFrom([]string{"t0", "t1", "t2", "t3", "t4", "t5", "t6"}).Draw(t, "object"),
				rapid.Int64Range(1000, 1020).Draw(t, "time"))
		})
		set := map[event.Event]bool{}
		for _, batch := range rapid.SliceOfN(rapid.SliceOfN(one, 0, 30), 1, 4).Draw(t, "batches") {
			if err := client.Record(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
			for _, e := range batch {
				set[e] = true
			}
		}
		compareWithModel(t, client, model(slices.Collect(maps.Keys(set))), user)
	})
}

func compareWithModel(t *rapid.T, client *songsplayed.Client, all model, user string) {
	ctx := context.Background()
	n := rapid.IntRange(0, 8).Draw(t, "n")
	// Within a millisecond, events of that millisecond count.
	asOf := at(rapid.Int64Range(998, 1022).Draw(t, "as of")).Add(rapid.SampledFrom([]time.Duration{0, 999_999}).Draw(t, "and"))
	since := time.Duration(rapid.Int64Range(0, 25).Draw(t, "since")) * time.Millisecond
	var start time.Time
	if since > 0 {
		start = asOf.Add(-since)
	}
	listener := client.For(user, asOf)

	recent, err := listener.Recent(ctx, n)
	same(t, "Recent", toShelf(all.newest(event.Played, asOf, n)), recent, err)
	hearts, err := listener.Hearts(ctx, n)
	same(t, "Hearts", toShelf(all.newest(event.Hearted, asOf, n)), hearts, err)
	follows, err := listener.Follows(ctx, n)
	want := []shelf.Follow{}
	for _, e := range all.newest(event.Followed, asOf, n) {
		want = append(want, shelf.Follow{Artist: e.Object, Time: e.Time})
	}
	same(t, "Follows", want, follows, err)
	tracks, err := listener.TopTracks(ctx, since, n)
	same(t, "TopTracks", all.top(start, asOf, n, func(track string) string { return track }), tracks, err)
	artists, err := listener.TopArtists(ctx, since, n)
	same(t, "TopArtists", all.top(start, asOf, n, artistOf), artists, err)
	tracks, err = listener.TopTracks(ctx, since, n)
	same(t, "TopTracks after TopArtists", all.top(start, asOf, n, func(track string) string { return track }), tracks, err)
}

func same[T any](t *rapid.T, what string, want, got []T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(want)+len(got) == 0 {
		return
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// model is a set of events of one listener.
type model []event.Event

// newest is the newest event of each object, newest first and then by id.
func (m model) newest(k event.Kind, asOf time.Time, n int) []event.Event {
	last := map[string]event.Event{}
	for _, e := range m {
		if e.Kind == k && !e.Time.After(asOf) && e.Time.After(last[e.Object].Time) {
			last[e.Object] = e
		}
	}
	list := slices.SortedFunc(maps.Values(last), func(a, b event.Event) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Object, b.Object))
	})
	return list[:min(n, len(list))]
}

func toShelf(events []event.Event) []shelf.Play {
	list := make([]shelf.Play, len(events))
	for i, e := range events {
		list[i] = shelf.Play{Track: e.Object, Time: e.Time}
	}
	return list
}

// top counts plays by what of says of their track.
func (m model) top(start, asOf time.Time, n int, of func(string) string) []shelf.Count {
	counts := map[string]shelf.Count{}
	for _, e := range m {
		id := of(e.Object)
		if e.Kind != event.Played || id == "" || e.Time.Before(start) || e.Time.After(asOf) {
			continue
		}
		c, ok := counts[id]
		if !ok {
			c = shelf.Count{ID: id, First: e.Time, Last: e.Time}
		}
		c.Plays++
		if e.Time.Before(c.First) {
			c.First = e.Time
		}
		if e.Time.After(c.Last) {
			c.Last = e.Time
		}
		counts[id] = c
	}
	list := slices.SortedFunc(maps.Values(counts), func(a, b shelf.Count) int {
		return cmp.Or(cmp.Compare(b.Plays, a.Plays), b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID))
	})
	return list[:min(n, len(list))]
}
