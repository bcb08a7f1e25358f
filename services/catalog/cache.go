package catalog

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/maypok86/otter/v2" // bounded cache with expiry; sync.Map and friends have neither

	"homefeed/shelves/shelf"
)

// The defaults of CacheOptions.
const (
	DefaultCacheEntries = 200_000 // about 100 MB when full
	DefaultCacheFor     = time.Minute
)

// CacheOptions bounds a Cache. Zero fields take the defaults above.
type CacheOptions struct {
	Entries int              // of tracks at most, and as many of artists and of lists
	For     time.Duration    // how old an answer may get
	Now     func() time.Time // nil: time.Now; called from any goroutine
}

// Cache remembers the answers of a catalogue, those that an id is unknown too. A refresh asks for some hundred
// tracks, and most of them are those that other listeners' refreshes have just asked for. Failures are not
// remembered. It is safe for concurrent use.
type Cache struct {
	catalog shelf.Catalog
	tracks  *otter.Cache[string, *shelf.Track]
	artists *otter.Cache[string, *shelf.Artist]
	lists   *otter.Cache[listKey, []shelf.Track]
}

type listKey struct {
	artist string
	n      int
}

var _ shelf.Catalog = (*Cache)(nil)

// NewCache makes an empty Cache of c's answers.
func NewCache(c shelf.Catalog, o CacheOptions) *Cache {
	o.Entries = cmp.Or(max(o.Entries, 0), DefaultCacheEntries)
	o.For = cmp.Or(max(o.For, 0), DefaultCacheFor)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cache{c, newCache[string, *shelf.Track](o), newCache[string, *shelf.Artist](o), newCache[listKey, []shelf.Track](o)}
}

func newCache[K comparable, V any](o CacheOptions) *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{
		MaximumSize: o.Entries, ExpiryCalculator: otter.ExpiryWriting[K, V](o.For), Clock: clock(o.Now),
		Executor: func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
}

// clock has no ticks: what has expired goes when it is asked for or pushed out, so no goroutine is needed.
type clock func() time.Time

func (c clock) NowNano() int64                    { return c().UnixNano() }
func (clock) Tick(time.Duration) <-chan time.Time { return nil }

// Tracks is shelf.Catalog's.
func (c *Cache) Tracks(ctx context.Context, ids ...string) (map[string]shelf.Track, error) {
	return remembered(ctx, c.tracks, ids, c.catalog.Tracks)
}

// Artists is shelf.Catalog's.
func (c *Cache) Artists(ctx context.Context, ids ...string) (map[string]shelf.Artist, error) {
	return remembered(ctx, c.artists, ids, c.catalog.Artists)
}

// ArtistTracks is shelf.Catalog's.
func (c *Cache) ArtistTracks(ctx context.Context, artist string, n int) ([]shelf.Track, error) {
	k := listKey{artist, n}
	if tracks, ok := c.lists.GetIfPresent(k); ok {
		return slices.Clone(tracks), nil
	}
	tracks, err := c.catalog.ArtistTracks(ctx, artist, n)
	if err != nil {
		return nil, err
	}
	c.lists.Set(k, slices.Clone(tracks))
	return tracks, nil
}

// remembered asks for those ids that the cache lacks, all in one call. Nil in the cache is an unknown id.
func remembered[T any](ctx context.Context, cache *otter.Cache[string, *T], ids []string,
	ask func(context.Context, ...string) (map[string]T, error)) (map[string]T, error) {
	known := make(map[string]T, len(ids))
	var missing []string
	for _, id := range ids {
		switch v, ok := cache.GetIfPresent(id); {
		case !ok:
			missing = append(missing, id)
		case v != nil:
			known[id] = *v
		}
	}
	if len(missing) == 0 {
		return known, nil
	}
	asked, err := ask(ctx, missing...)
	if err != nil {
		return nil, err
	}
	for _, id := range missing {
		v, ok := asked[id]
		if !ok {
			cache.Set(id, nil)
			continue
		}
		cache.Set(id, &v)
		known[id] = v
	}
	return known, nil
}
