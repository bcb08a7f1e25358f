package word2vec

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"homefeed/services/word2vec/word2vecpb"
	"homefeed/shelves/shelf"
)

// Client asks the service over a connection, best one of rpc.Dial, which adds deadlines and retries. It is a
// shelf.Word2Vec, and safe for concurrent use.
type Client struct {
	service word2vecpb.Word2VecClient
}

var _ shelf.Word2Vec = (*Client)(nil)

// NewClient makes a client on a connection, which stays the caller's to close.
func NewClient(c grpc.ClientConnInterface) *Client {
	return &Client{service: word2vecpb.NewWord2VecClient(c)}
}

// Nearest is shelf.Word2Vec's. More than MaxSeeds, MaxNearest or MaxExclude is an error.
func (c *Client) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) ([]shelf.Neighbour, error) {
	if k <= 0 || len(seeds) == 0 {
		return nil, nil
	}
	r := &word2vecpb.NearestRequest{
		Seeds: make([]*word2vecpb.Seed, len(seeds)), K: int32(min(k, MaxNearest+1)), Exclude: exclude,
	}
	all := make([]word2vecpb.Seed, len(seeds))
	for i, seed := range seeds {
		all[i].Track, all[i].Weight = seed.Track, seed.Weight
		r.Seeds[i] = &all[i]
	}
	answer, err := c.service.Nearest(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("finding nearest tracks: %w", err)
	}
	near := make([]shelf.Neighbour, len(answer.GetNeighbours()))
	for i, n := range answer.GetNeighbours() {
		near[i] = shelf.Neighbour{Track: n.GetTrack(), Similarity: n.GetSimilarity()}
	}
	return near, nil
}

// Vector is a track's vector, of length 1; rpc.ErrNotFound when the model has none.
func (c *Client) Vector(ctx context.Context, track string) ([]float32, error) {
	answer, err := c.service.GetVector(ctx, &word2vecpb.GetVectorRequest{Track: track})
	if err != nil {
		return nil, fmt.Errorf("getting vector: %w", err)
	}
	return answer.GetVector(), nil
}

// Similarity is the cosine of two tracks; rpc.ErrNotFound when the model lacks one.
func (c *Client) Similarity(ctx context.Context, a, b string) (float32, error) {
	answer, err := c.service.Similarity(ctx, &word2vecpb.SimilarityRequest{A: a, B: b})
	if err != nil {
		return 0, fmt.Errorf("comparing tracks: %w", err)
	}
	return answer.GetSimilarity(), nil
}
