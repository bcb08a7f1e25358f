package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"homefeed/services/catalog"
	"homefeed/services/catalog/catalogpb"
	"homefeed/services/rpc"
)

// serve puts the catalogue on gRPC and returns a connection to it.
func serve(t *testing.T, c *catalog.Catalog) *grpc.ClientConn {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	catalog.Register(server, catalog.NewServer(c))
	conn, stop, err := rpc.InProcess(server, rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return conn
}

func TestClientAnswersAsTheCatalogue(t *testing.T) {
	c := read(t, small)
	client := catalog.NewClient(serve(t, c))
	ctx := t.Context()

	wantTracks, _ := c.Tracks(ctx, "t1", "t2", "gone")
	gotTracks, err := client.Tracks(ctx, "t1", "t2", "gone")
	if diff := cmp.Diff(wantTracks, gotTracks); diff != "" || err != nil {
		t.Errorf("Tracks: %v (-want +got)\n%s", err, diff)
	}
	wantArtists, _ := c.Artists(ctx, "bjork", "gone")
	gotArtists, err := client.Artists(ctx, "bjork", "gone")
	if diff := cmp.Diff(wantArtists, gotArtists); diff != "" || err != nil {
		t.Errorf("Artists: %v (-want +got)\n%s", err, diff)
	}
	for _, n := range []int{0, 2, 5_000} {
		wantBest, _ := c.ArtistTracks(ctx, "guns-n-roses", n)
		gotBest, err := client.ArtistTracks(ctx, "guns-n-roses", n)
		if diff := cmp.Diff(wantBest, gotBest); diff != "" || err != nil {
			t.Errorf("ArtistTracks(%d): %v (-want +got)\n%s", n, err, diff)
		}
	}
	of, err := client.ArtistsOf(ctx, []string{"t3", "gone"})
	if diff := cmp.Diff(map[string]string{"t3": "bjork"}, of); diff != "" || err != nil {
		t.Errorf("ArtistsOf: %v (-want +got)\n%s", err, diff)
	}
}

// The largest answer that the bounds allow must fit into gRPC's default message size.
func TestClientAsksInBatches(t *testing.T) {
	var b strings.Builder
	b.WriteString("track\tartist\ttitle\timage\n")
	var ids []string
	for i := range 2*catalog.MaxBatch + 1 {
		id := fmt.Sprintf("%0128d", i)
		ids = append(ids, id)
		fmt.Fprintf(&b, "%s\t%0300d\t%s\t%s\n", id, i, strings.Repeat("t", 300), strings.Repeat("i", 1_000))
	}
	c := read(t, b.String())
	conn := serve(t, c)
	got, err := catalog.NewClient(conn).Tracks(t.Context(), append(ids, "gone")...)
	if err != nil || len(got) != len(ids) {
		t.Fatalf("%d tracks of %d, %v", len(got), len(ids), err)
	}
	artists := make([]string, 0, len(ids))
	for _, track := range got {
		artists = append(artists, track.Artist)
	}
	of, err := catalog.NewClient(conn).Artists(t.Context(), artists...)
	if err != nil || len(of) != len(ids) {
		t.Fatalf("%d artists of %d, %v", len(of), len(ids), err)
	}
	both := &catalogpb.BatchGetRequest{Tracks: ids[:catalog.MaxBatch], Artists: artists[:catalog.MaxBatch]}
	answer, err := catalogpb.NewCatalogClient(conn).BatchGet(t.Context(), both)
	if err != nil || len(answer.GetTracks()) != catalog.MaxBatch || len(answer.GetArtists()) != catalog.MaxBatch {
		t.Fatalf("the largest batch: %d bytes, %v", proto.Size(answer), err)
	}
}

func TestServerKeepsOrderAndNamesTheMissing(t *testing.T) {
	client := catalogpb.NewCatalogClient(serve(t, read(t, small)))
	answer, err := client.BatchGet(t.Context(), &catalogpb.BatchGetRequest{
		Tracks: []string{"t4", "x", "t1"}, Artists: []string{"y", "bjork"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, track := range answer.GetTracks() {
		ids = append(ids, track.GetId())
	}
	if diff := cmp.Diff([]string{"t4", "t1"}, ids); diff != "" {
		t.Errorf("tracks (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"x"}, answer.GetMissingTracks()); diff != "" {
		t.Errorf("missing tracks (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"y"}, answer.GetMissingArtists()); diff != "" || len(answer.GetArtists()) != 1 {
		t.Errorf("missing artists (-want +got)\n%s", diff)
	}
}

func TestServerRefusesTooMuch(t *testing.T) {
	client := catalogpb.NewCatalogClient(serve(t, read(t, small)))
	many := make([]string, catalog.MaxBatch+1)
	_, tracks := client.BatchGet(t.Context(), &catalogpb.BatchGetRequest{Tracks: many})
	_, artists := client.BatchGet(t.Context(), &catalogpb.BatchGetRequest{Artists: many})
	_, negative := client.ListArtistTracks(t.Context(), &catalogpb.ListArtistTracksRequest{PageSize: -1})
	_, large := client.ListArtistTracks(t.Context(), &catalogpb.ListArtistTracksRequest{PageSize: 1_001})
	for what, err := range map[string]error{
		"tracks: want at most 1000 ids, not 1001": tracks, "artists: want at most 1000 ids, not 1001": artists,
		"page_size: want 0 to 1000, not -1": negative, "page_size: want 0 to 1000, not 1001": large,
	} {
		var field *rpc.FieldError
		if !errors.As(err, &field) || field.Error() != what || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v, want INVALID_ARGUMENT with %q", err, what)
		}
	}
}

func TestClientObservesItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := catalog.NewClient(serve(t, read(t, small)))
	if _, err := client.Tracks(ctx, "t1"); status.Code(err) != codes.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
	if _, err := client.ArtistTracks(ctx, "bjork", 3); status.Code(err) != codes.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
}
