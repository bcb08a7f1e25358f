package catalog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a catalogue's file. They keep an answer of 1,000 tracks and 1,000 artists under gRPC's 4 MB.
const (
	MaxTracks     = 10_000_000
	maxLine       = 64 << 10
	maxName       = 300   // bytes of a title or an artist's name
	maxImage      = 1_000 // bytes of an image's template
	defaultArt    = "/art"
	columnTrack   = "track"
	columnArtist  = "artist"
	columnTitle   = "title"
	columnImage   = "image"
	columnPopular = "popularity"
)

// Option changes how a catalogue is read.
type Option func(*Catalog)

// WithArtBase sets where generated covers are served; "/art" unless said otherwise. It has no slash at its end.
func WithArtBase(base string) Option {
	return func(c *Catalog) { c.artBase = strings.TrimRight(base, "/") }
}

// Load reads the catalogue in a file, which may be gzipped; see Read.
func Load(path string, options ...Option) (*Catalog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening catalogue: %w", err)
	}
	defer f.Close()
	return Read(f, path, options...)
}

// Read reads tab-separated lines under a header that names the columns track, artist and title, and may name
// image (an address, with {size} for the edge in pixels) and popularity (a number, more is better; without it
// the file's order counts). Other columns are passed over. The text may be gzipped. Artists are those named:
// names that differ in case or spaces alone are one artist. An error says where in the file called name it is.
func Read(r io.Reader, name string, options ...Option) (*Catalog, error) {
	text, err := plain(r)
	if err != nil {
		return nil, fmt.Errorf("reading catalogue %s: %w", name, err)
	}
	b := &builder{artistOf: map[string]int32{}, lineOf: map[string]int{}}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSuffix(lines.Text(), "\r")
		if n == 1 {
			err = b.header(strings.TrimPrefix(line, "\ufeff"))
		} else if line != "" {
			err = b.line(line, n)
		}
		if err != nil {
			return nil, fmt.Errorf("reading catalogue %s: line %d: %w", name, n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("reading catalogue %s: line %d: want at most %d bytes", name, n+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("reading catalogue %s: after line %d: %w", name, n, err)
	case n == 0:
		return nil, fmt.Errorf("reading catalogue %s: empty: want a header with track, artist and title", name)
	}
	return b.build(options), nil
}

// plain is r, unzipped if it is gzipped.
func plain(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	if magic, err := buffered.Peek(2); err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil // too short to be gzip, or plain; a failing reader says so again
	}
	return gzip.NewReader(buffered)
}

// builder collects lines.
type builder struct {
	columns  []string
	tracks   []track
	names    []string         // of artists, as they are first written
	artistOf map[string]int32 // by fold of the name
	folded   []string
	lineOf   map[string]int // by track id
}

func (b *builder) header(line string) error {
	b.columns = strings.Split(line, "\t")
	for i, c := range b.columns {
		if slices.Contains(b.columns[:i], c) {
			return fmt.Errorf("column %q stands twice in the header", c)
		}
	}
	for _, want := range []string{columnTrack, columnArtist, columnTitle} {
		if !slices.Contains(b.columns, want) {
			return fmt.Errorf("no column %q: want a header with track, artist and title, separated by tabs", want)
		}
	}
	return nil
}

func (b *builder) line(line string, n int) error {
	if len(b.tracks) == MaxTracks {
		return fmt.Errorf("want at most %d tracks", MaxTracks)
	}
	var t track
	var artist string
	values := strings.Split(line, "\t")
	if len(values) != len(b.columns) {
		return fmt.Errorf("%d columns: want %d, as in the header", len(values), len(b.columns))
	}
	for i, value := range values {
		var err error
		switch b.columns[i] {
		case columnTrack:
			t.id, err = value, b.checkID(value)
		case columnArtist:
			artist, err = value, checkText(value, 1, maxName)
		case columnTitle:
			t.title, err = value, checkText(value, 1, maxName)
		case columnImage:
			t.image, err = value, checkText(value, 0, maxImage)
		case columnPopular:
			t.popularity, err = parsePopularity(value)
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", b.columns[i], err)
		}
	}
	b.lineOf[t.id] = n
	t.artist = b.artistNamed(artist)
	b.tracks = append(b.tracks, t)
	return nil
}

func (b *builder) checkID(id string) error {
	if !validID(id) {
		return fmt.Errorf("%.140q: want 1–128 of A–Z a–z 0–9 . _ : -, not dots alone", id)
	}
	if earlier, ok := b.lineOf[id]; ok {
		return fmt.Errorf("%q is also on line %d: want each track once", id, earlier)
	}
	return nil
}

func checkText(s string, least, most int) error {
	switch {
	case !utf8.ValidString(s):
		return fmt.Errorf("%.40q: want UTF-8", s)
	case len(strings.TrimSpace(s)) < least:
		return errors.New("want something")
	case len(s) > most:
		return fmt.Errorf("%.40q… has %d bytes: want at most %d", s, len(s), most)
	}
	return nil
}

func parsePopularity(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	p, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(p) || math.IsInf(p, 0) {
		return 0, fmt.Errorf("%.40q: want a number, or nothing", s)
	}
	return p, nil
}

func (b *builder) artistNamed(name string) int32 {
	key := fold(name)
	i, ok := b.artistOf[key]
	if !ok {
		i = int32(len(b.names))
		b.artistOf[key] = i
		b.names = append(b.names, name)
		b.folded = append(b.folded, key)
	}
	return i
}

func (b *builder) build(options []Option) *Catalog {
	c := &Catalog{
		artBase:      defaultArt,
		tracks:       b.tracks,
		artists:      make([]artist, len(b.names)),
		trackByID:    make(map[string]int32, len(b.tracks)),
		artistByID:   make(map[string]int32, len(b.names)),
		artistByName: b.artistOf,
		trackByTitle: make(map[titleKey]int32, len(b.tracks)),
	}
	for _, option := range options {
		option(c)
	}
	for i, id := range artistIDs(b.folded) {
		c.artists[i] = artist{id: id, name: b.names[i]}
		c.artistByID[id] = int32(i)
	}
	for i, t := range c.tracks {
		c.trackByID[t.id] = int32(i)
		a := &c.artists[t.artist]
		a.tracks = append(a.tracks, int32(i))
	}
	for i := range c.artists {
		best := c.artists[i].tracks
		slices.SortStableFunc(best, func(x, y int32) int {
			return compareDown(c.tracks[x].popularity, c.tracks[y].popularity)
		})
		for _, t := range slices.Backward(best) { // so that the most popular one is written last
			c.trackByTitle[titleKey{int32(i), fold(c.tracks[t].title)}] = t
		}
	}
	return c
}

func compareDown(x, y float64) int {
	switch {
	case x > y:
		return -1
	case x < y:
		return 1
	}
	return 0
}
