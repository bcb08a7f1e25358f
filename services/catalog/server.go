package catalog

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"homefeed/services/catalog/catalogpb"
	"homefeed/services/rpc"
	"homefeed/shelves/shelf"
)

// Bounds of a request, as the proto states them.
const (
	MaxBatch        = 1_000
	defaultPageSize = 50
)

// Server answers from one Catalog. Its only errors are *rpc.FieldError, for requests over its bounds.
type Server struct {
	catalogpb.UnimplementedCatalogServer
	catalog *Catalog
}

// NewServer makes the service of a catalogue.
func NewServer(c *Catalog) *Server { return &Server{catalog: c} }

// Register puts the service on a gRPC server.
func Register(r grpc.ServiceRegistrar, s *Server) { catalogpb.RegisterCatalogServer(r, s) }

// BatchGet returns what is known of the ids, in their order, and names those that are not.
func (s *Server) BatchGet(_ context.Context, r *catalogpb.BatchGetRequest) (*catalogpb.BatchGetResponse, error) {
	if n := len(r.GetTracks()); n > MaxBatch {
		return nil, rpc.Invalid("tracks", fmt.Sprintf("want at most %d ids, not %d", MaxBatch, n))
	}
	if n := len(r.GetArtists()); n > MaxBatch {
		return nil, rpc.Invalid("artists", fmt.Sprintf("want at most %d ids, not %d", MaxBatch, n))
	}
	answer := &catalogpb.BatchGetResponse{}
	for _, id := range r.GetTracks() {
		if t, ok := s.catalog.Track(id); ok {
			answer.Tracks = append(answer.Tracks, trackToProto(t))
		} else {
			answer.MissingTracks = append(answer.MissingTracks, id)
		}
	}
	for _, id := range r.GetArtists() {
		if a, ok := s.catalog.Artist(id); ok {
			answer.Artists = append(answer.Artists,
				&catalogpb.Artist{Id: a.ID, Name: a.Name, Image: imageToProto(a.Image)})
		} else {
			answer.MissingArtists = append(answer.MissingArtists, id)
		}
	}
	return answer, nil
}

// ListArtistTracks returns an artist's tracks, most popular first; none when the artist is unknown.
func (s *Server) ListArtistTracks(ctx context.Context, r *catalogpb.ListArtistTracksRequest) (
	*catalogpb.ListArtistTracksResponse, error) {
	n := int(r.GetPageSize())
	if n < 0 || n > MaxBatch {
		return nil, rpc.Invalid("page_size", fmt.Sprintf("want 0 to %d, not %d", MaxBatch, n))
	}
	if n == 0 {
		n = defaultPageSize
	}
	tracks, err := s.catalog.ArtistTracks(ctx, r.GetArtist(), n)
	if err != nil {
		return nil, err
	}
	answer := &catalogpb.ListArtistTracksResponse{Tracks: make([]*catalogpb.Track, len(tracks))}
	for i, t := range tracks {
		answer.Tracks[i] = trackToProto(t)
	}
	return answer, nil
}

func trackToProto(t shelf.Track) *catalogpb.Track {
	return &catalogpb.Track{
		Id: t.ID, Title: t.Title, Artist: t.Artist, ArtistName: t.ArtistName, Image: imageToProto(t.Image),
	}
}

func imageToProto(i shelf.Image) *catalogpb.Image {
	return &catalogpb.Image{Template: i.Template, Colors: i.Colors, Alt: i.Alt}
}
