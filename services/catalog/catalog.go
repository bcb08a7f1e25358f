// Package catalog knows the tracks and artists: their names, whose track it is, and what their covers look
// like. A Catalog is read once from a TSV file, held in memory and never changes; Server and Client put it on gRPC.
package catalog

import (
	"context"

	"homefeed/services/catalog/art"
	"homefeed/shelves/shelf"
)

// Catalog is safe for use by several goroutines: nothing writes to it after Read. It is itself a shelf.Catalog.
type Catalog struct {
	artBase string

	tracks  []track
	artists []artist

	trackByID    map[string]int32
	artistByID   map[string]int32
	artistByName map[string]int32   // by fold of the name
	trackByTitle map[titleKey]int32 // the most popular one, where an artist has a title twice
}

type track struct {
	id, title, image string
	artist           int32
	popularity       float64
}

type artist struct {
	id, name string
	tracks   []int32 // most popular first
}

type titleKey struct {
	artist int32
	title  string // folded
}

var _ shelf.Catalog = (*Catalog)(nil)

// Len is the number of tracks.
func (c *Catalog) Len() int { return len(c.tracks) }

// Track is the track with the id, and whether there is one.
func (c *Catalog) Track(id string) (shelf.Track, bool) {
	i, ok := c.trackByID[id]
	if !ok {
		return shelf.Track{}, false
	}
	return c.track(i), true
}

// Artist is the artist with the id, and whether there is one.
func (c *Catalog) Artist(id string) (shelf.Artist, bool) {
	i, ok := c.artistByID[id]
	if !ok {
		return shelf.Artist{}, false
	}
	return c.artist(i), true
}

// ArtistID is the id of the artist with the name, whatever its case and spaces.
func (c *Catalog) ArtistID(name string) (id string, ok bool) {
	i, ok := c.artistByName[fold(name)]
	if !ok {
		return "", false
	}
	return c.artists[i].id, true
}

// TrackID is the id of the artist's track with the title, whatever the case and spaces of both. Where an artist
// has the title twice, it is the more popular track.
func (c *Catalog) TrackID(artist, title string) (id string, ok bool) {
	a, ok := c.artistByName[fold(artist)]
	if !ok {
		return "", false
	}
	i, ok := c.trackByTitle[titleKey{a, fold(title)}]
	if !ok {
		return "", false
	}
	return c.tracks[i].id, true
}

// Tracks is what is known of the ids. It never fails.
func (c *Catalog) Tracks(_ context.Context, ids ...string) (map[string]*shelf.Track, error) {
	known := make(map[string]*shelf.Track, len(ids))
	for _, id := range ids {
		if t, ok := c.Track(id); ok {
			known[id] = &t
		}
	}
	return known, nil
}

// Artists is what is known of the ids. It never fails.
func (c *Catalog) Artists(_ context.Context, ids ...string) (map[string]shelf.Artist, error) {
	known := make(map[string]shelf.Artist, len(ids))
	for _, id := range ids {
		if a, ok := c.Artist(id); ok {
			known[id] = a
		}
	}
	return known, nil
}

// ArtistTracks is up to n tracks of an artist, most popular first; none when the artist is unknown. It never fails.
func (c *Catalog) ArtistTracks(_ context.Context, artist string, n int) ([]shelf.Track, error) {
	i, ok := c.artistByID[artist]
	if !ok || n <= 0 {
		return nil, nil
	}
	best := c.artists[i].tracks
	best = best[:min(n, len(best))]
	tracks := make([]shelf.Track, len(best))
	for j, t := range best {
		tracks[j] = c.track(t)
	}
	return tracks, nil
}

// ArtistsOf is the artist's id of each track that is known. It never fails.
func (c *Catalog) ArtistsOf(_ context.Context, tracks []string) (map[string]string, error) {
	known := make(map[string]string, len(tracks))
	for _, id := range tracks {
		if i, ok := c.trackByID[id]; ok {
			known[id] = c.artists[c.tracks[i].artist].id
		}
	}
	return known, nil
}

// Describe is what a generated cover says: a track's title and artist, or an artist's name. It is an art.Describe.
func (c *Catalog) Describe(kind art.Kind, id string) (title, subtitle string, ok bool) {
	switch kind {
	case art.Track:
		t, ok := c.Track(id)
		return t.Title, t.ArtistName, ok
	case art.Artist:
		a, ok := c.Artist(id)
		return a.Name, "", ok
	}
	return "", "", false
}

func (c *Catalog) track(i int32) shelf.Track {
	t := &c.tracks[i]
	a := &c.artists[t.artist]
	image := c.image(art.Track, t.id, "Cover of "+t.title+" by "+a.name)
	if t.image != "" {
		image.Template = t.image
	}
	return shelf.Track{ID: t.id, Title: t.title, Artist: a.id, ArtistName: a.name, Image: image}
}

func (c *Catalog) artist(i int32) shelf.Artist {
	a := &c.artists[i]
	return shelf.Artist{ID: a.id, Name: a.name, Image: c.image(art.Artist, a.id, "Picture of "+a.name)}
}

func (c *Catalog) image(kind art.Kind, id, alt string) shelf.Image {
	return shelf.Image{
		Template: c.artBase + "/" + string(kind) + "/" + id + "/{size}.svg",
		Colors:   art.ColorsOf(kind, id).List(),
		Alt:      alt,
	}
}
