package shelf

import (
	"context"
	"time"
)

// Card is one thing on a shelf.
type Card struct {
	URI      string // "track:<id>" or "artist:<id>"
	Artist   string // of a track: "artist:<id>", so that hiding the artist hides the card
	Title    string
	Subtitle string
	Image    Image
	Reason   string // why the listener sees it, in words: "Because you played X"
}

// Image is a picture that a client asks for in the size it needs.
type Image struct {
	Template string   // an address with {size} for the edge in pixels
	Colors   []string // CSS hex colours, the ground first
	Alt      string   // what a screen reader says
}

// Request is what a Fill may use. Its clients are bound to the listener and to AsOf: they answer as of that
// time, so the same request gives the same cards whenever it is run. They remember answers within a trigger,
// so shelves that ask the same thing pay once. A Fill reads no other clock.
type Request struct {
	User    string    // empty for a Market shelf
	Market  string    // of a Market shelf
	AsOf    time.Time // the time of the newest event that made the shelf stale
	Guard   Guard     // with defaults filled in
	Plays   SongsPlayed
	Vectors Word2Vec
	Catalog Catalog
	Top     []Count // of a Market shelf: the tracks played most, best first

	// TitleArgs is what Title set; the runner reads it.
	TitleArgs map[string]string
}

// Title sets a value that the shelf's title may mention: r.Title("artist", "Mozart") for "More like {artist}".
func (r *Request) Title(name, value string) {
	if r.TitleArgs == nil {
		r.TitleArgs = map[string]string{}
	}
	r.TitleArgs[name] = value
}

// SongsPlayed knows what the listener did, up to and including AsOf.
type SongsPlayed interface {
	// Recent is the newest play of each of the n tracks played last, newest first. Ties: by id. At most 10,000.
	Recent(ctx context.Context, n int) ([]Play, error)
	// TopTracks is the n tracks played most from AsOf−since on, both ends included; since 0 means ever. Ties:
	// played last first, then by id. At most 1,000.
	TopTracks(ctx context.Context, since time.Duration, n int) ([]Count, error)
	// TopArtists is the same by artist.
	TopArtists(ctx context.Context, since time.Duration, n int) ([]Count, error)
	// Hearts is the n tracks hearted last, newest first. Ties: by id.
	Hearts(ctx context.Context, n int) ([]Play, error)
	// Follows is the n artists followed last, newest first. Ties: by id.
	Follows(ctx context.Context, n int) ([]Follow, error)
}

// Play is a track at a time.
type Play struct {
	Track string
	Time  time.Time
}

// Follow is an artist at a time.
type Follow struct {
	Artist string
	Time   time.Time
}

// Count is a track or an artist with the number of its plays and when the first and last of them were.
type Count struct {
	ID          string
	Plays       int64
	First, Last time.Time
}

// Word2Vec knows what is near.
type Word2Vec interface {
	// Nearest is the k tracks nearest to the weighted mean of the seeds, best first, without the seeds and
	// without exclude. Seeds that the model doesn't know are passed over; knowing none gives no neighbours. At
	// most 100 seeds, 1,000 neighbours and 10,000 excluded.
	Nearest(ctx context.Context, seeds []Seed, k int, exclude []string) ([]Neighbour, error)
}

// Seed is a track to look near. Weight 0 means 1.
type Seed struct {
	Track  string
	Weight float32
}

// Neighbour is a track with its cosine similarity, −1 to 1.
type Neighbour struct {
	Track      string
	Similarity float32
}

// Catalog knows tracks and artists. Ids it doesn't know are missing from the answer, which is no error. The maps
// and slices are the caller's own; the tracks in them are everybody's, and nobody changes them.
type Catalog interface {
	Tracks(ctx context.Context, ids ...string) (map[string]*Track, error)
	Artists(ctx context.Context, ids ...string) (map[string]Artist, error)
	// ArtistTracks is up to n tracks of an artist, most popular first.
	ArtistTracks(ctx context.Context, artist string, n int) ([]Track, error)
}

// Track is what the catalogue says of a track.
type Track struct {
	ID, Title, Artist, ArtistName string
	Image                         Image
}

// Artist is what the catalogue says of an artist.
type Artist struct {
	ID, Name string
	Image    Image
}

// Card makes the track's card with a reason.
func (t Track) Card(reason string) Card {
	card := Card{URI: "track:" + t.ID, Title: t.Title, Subtitle: t.ArtistName, Image: t.Image, Reason: reason}
	if t.Artist != "" {
		card.Artist = "artist:" + t.Artist
	}
	return card
}
