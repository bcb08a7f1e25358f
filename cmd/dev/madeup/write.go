package madeup

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"homefeed/cmd/dev/madeup/names"
)

// WriteCatalog writes every track as the catalogue service reads them: tab-separated lines under a header. The
// error is the writer's.
func (w *World) WriteCatalog(to io.Writer) error {
	b := bufio.NewWriter(to)
	b.WriteString("track\tartist\ttitle\tpopularity\tgenre\n")
	for i := range w.tracks {
		t := &w.tracks[i]
		fmt.Fprintf(b, "%s\t%s\t%s\t%.4f\t%s\n", t.id, w.artists[t.artist].name, t.title, t.popularity, names.Genres()[t.genre].Name)
	}
	if err := b.Flush(); err != nil { // a bufio.Writer keeps the first error
		return fmt.Errorf("writing made-up catalogue: %w", err)
	}
	return nil
}

// WritePlaylists writes a playlist on each line: track ids separated by blanks. The error is the writer's.
func (w *World) WritePlaylists(to io.Writer) error {
	b := bufio.NewWriter(to)
	for playlist := range w.Playlists() {
		b.WriteString(strings.Join(playlist, " "))
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing made-up playlists: %w", err)
	}
	return nil
}

// Playlists are lists of different tracks' ids, made while they are ranged over. Each stays with a genre, or, one in
// eight, with two neighbours, and wanders from artist to artist of one scene. With as many playlists as tracks or
// more, every track is in one.
func (w *World) Playlists() iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		r := rand.New(rand.NewPCG(w.seed, 2))
		order := r.Perm(len(w.tracks))
		for i := range w.playlists {
			tracks := w.playlist(r, int32(order[i%len(order)]))
			ids := make([]string, len(tracks))
			for j, t := range tracks {
				ids[j] = w.tracks[t].id
			}
			if !yield(ids) {
				return
			}
		}
	}
}

// playlist begins with a track.
func (w *World) playlist(r *rand.Rand, first int32) []int32 {
	at := w.tracks[first].artist
	home := w.artists[at].genre
	away := home
	if r.IntN(8) == 0 {
		away = (home + 1) % len(w.genres)
	}
	list := []int32{first}
	for range 7 + r.IntN(20) {
		switch chance := r.Float64(); {
		case chance < .40: // the same artist
		case chance < .75: // the same scene: artists who stand near each other in their genre
			at = w.near(r, at)
		case chance < .98:
			g := home
			if r.IntN(2) == 0 {
				g = away
			}
			at = w.genres[g].artists[r.IntN(len(w.genres[g].artists))]
		default:
			at = int32(r.IntN(len(w.artists)))
		}
		tracks := w.artists[at].tracks
		if t := tracks[r.IntN(len(tracks))]; !slices.Contains(list, t) {
			list = append(list, t)
		}
		if g := w.artists[at].genre; g != home && g != away { // a guest stays for one track
			at = w.tracks[first].artist
		}
	}
	return list
}

// near is an artist of the same scene. Artists of one genre are a whole round of genres apart.
func (w *World) near(r *rand.Rand, at int32) int32 {
	artists := w.genres[w.artists[at].genre].artists
	i := int(at)/len(w.genres) + r.IntN(5) - 2
	return artists[(i+len(artists))%len(artists)]
}
