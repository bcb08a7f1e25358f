package catalog

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"

	"homefeed/services/catalog/catalogpb"
	"homefeed/shelves/shelf"
)

// Client asks the service over a connection, best one of rpc.Dial, which adds deadlines and retries. It is a
// shelf.Catalog, and safe for concurrent use.
type Client struct {
	catalog catalogpb.CatalogClient
}

var _ shelf.Catalog = (*Client)(nil)

// NewClient makes a client on a connection, which stays the caller's to close.
func NewClient(c grpc.ClientConnInterface) *Client {
	return &Client{catalog: catalogpb.NewCatalogClient(c)}
}

// Tracks asks for any number of ids, MaxBatch at a time. If one batch fails, all of it does.
func (c *Client) Tracks(ctx context.Context, ids ...string) (map[string]*shelf.Track, error) {
	known := make(map[string]*shelf.Track, len(ids))
	for batch := range slices.Chunk(ids, MaxBatch) {
		answer, err := c.catalog.BatchGet(ctx, &catalogpb.BatchGetRequest{Tracks: batch})
		if err != nil {
			return nil, fmt.Errorf("getting tracks: %w", err)
		}
		for _, t := range answer.GetTracks() {
			track := trackFromProto(t)
			known[track.ID] = &track
		}
	}
	return known, nil
}

// Artists asks for any number of ids, MaxBatch at a time. If one batch fails, all of it does.
func (c *Client) Artists(ctx context.Context, ids ...string) (map[string]shelf.Artist, error) {
	known := make(map[string]shelf.Artist, len(ids))
	for batch := range slices.Chunk(ids, MaxBatch) {
		answer, err := c.catalog.BatchGet(ctx, &catalogpb.BatchGetRequest{Artists: batch})
		if err != nil {
			return nil, fmt.Errorf("getting artists: %w", err)
		}
		for _, a := range answer.GetArtists() {
			known[a.GetId()] = shelf.Artist{ID: a.GetId(), Name: a.GetName(), Image: imageFromProto(a.GetImage())}
		}
	}
	return known, nil
}

// ArtistTracks is up to n tracks of an artist, at most MaxBatch, most popular first.
func (c *Client) ArtistTracks(ctx context.Context, artist string, n int) ([]shelf.Track, error) {
	if n <= 0 {
		return nil, nil
	}
	answer, err := c.catalog.ListArtistTracks(ctx, &catalogpb.ListArtistTracksRequest{
		Artist: artist, PageSize: int32(min(n, MaxBatch)),
	})
	if err != nil {
		return nil, fmt.Errorf("listing tracks of artist %s: %w", artist, err)
	}
	tracks := make([]shelf.Track, len(answer.GetTracks()))
	for i, t := range answer.GetTracks() {
		tracks[i] = trackFromProto(t)
	}
	return tracks, nil
}

// ArtistsOf is the artist's id of each track that the catalogue knows.
func (c *Client) ArtistsOf(ctx context.Context, tracks []string) (map[string]string, error) {
	known, err := c.Tracks(ctx, tracks...)
	if err != nil {
		return nil, err
	}
	artists := make(map[string]string, len(known))
	for id, t := range known {
		artists[id] = t.Artist
	}
	return artists, nil
}

func trackFromProto(t *catalogpb.Track) shelf.Track {
	return shelf.Track{
		ID: t.GetId(), Title: t.GetTitle(), Artist: t.GetArtist(), ArtistName: t.GetArtistName(),
		Image: imageFromProto(t.GetImage()),
	}
}

func imageFromProto(i *catalogpb.Image) shelf.Image {
	return shelf.Image{Template: i.GetTemplate(), Colors: i.GetColors(), Alt: i.GetAlt()}
}
