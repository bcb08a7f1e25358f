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
	age     time.Duration
	now     func() time.Time
	tracks  *otter.Cache[string, entry[*shelf.Track]]
	artists *otter.Cache[string, entry[shelf.Artist]]
	lists   *otter.Cache[listKey, entry[[]shelf.Track]]
}

type listKey struct {
	artist string
	n      int
}

// entry is an answer. It says itself how long it is good: an expiry of the cache's own costs more than all else of a look.
type entry[V any] struct {
	value V
	known bool
	until int64 // in nanoseconds since 1970
}

var _ shelf.Catalog = (*Cache)(nil)

// NewCache makes an empty Cache of c's answers.
func NewCache(c shelf.Catalog, o CacheOptions) *Cache {
	o.Entries = cmp.Or(max(o.Entries, 0), DefaultCacheEntries)
	o.For = cmp.Or(max(o.For, 0), DefaultCacheFor)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cache{
		c, o.For, o.Now, newCache[string, *shelf.Track](o), newCache[string, shelf.Artist](o), newCache[listKey, []shelf.Track](o),
	}
}

func newCache[K comparable, V any](o CacheOptions) *otter.Cache[K, entry[V]] {
	return otter.Must(&otter.Options[K, entry[V]]{
		MaximumSize: o.Entries,
		Executor:    func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
}

// Tracks is shelf.Catalog's.
func (c *Cache) Tracks(ctx context.Context, ids ...string) (map[string]*shelf.Track, error) {
	return remembered(ctx, c, c.tracks, ids, c.catalog.Tracks)
}

// Artists is shelf.Catalog's.
func (c *Cache) Artists(ctx context.Context, ids ...string) (map[string]shelf.Artist, error) {
	return remembered(ctx, c, c.artists, ids, c.catalog.Artists)
}

// ArtistTracks is shelf.Catalog's.
func (c *Cache) ArtistTracks(ctx context.Context, artist string, n int) ([]shelf.Track, error) {
	k, now := listKey{artist, n}, c.now()
	if e, ok := c.lists.GetIfPresent(k); ok && now.UnixNano() < e.until {
		return slices.Clone(e.value), nil
	}
	tracks, err := c.catalog.ArtistTracks(ctx, artist, n)
	if err != nil {
		return nil, err
	}
	c.lists.Set(k, entry[[]shelf.Track]{slices.Clone(tracks), true, now.Add(c.age).UnixNano()})
	return tracks, nil
}

// remembered asks for those ids that the cache lacks, all in one call.
func remembered[V any](ctx context.Context, c *Cache, cache *otter.Cache[string, entry[V]], ids []string,
	ask func(context.Context, ...string) (map[string]V, error)) (map[string]V, error) {
	now := c.now()
	known := make(map[string]V, len(ids))
	var missing []string
	for _, id := range ids {
		switch e, ok := cache.GetIfPresent(id); {
		case !ok || now.UnixNano() >= e.until:
			missing = append(missing, id)
		case e.known:
			known[id] = e.value
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
		cache.Set(id, entry[V]{v, ok, now.Add(c.age).UnixNano()})
		if ok {
			known[id] = v
		}
	}
	return known, nil
}
