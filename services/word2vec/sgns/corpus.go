package sgns

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"

	"homefeed/pipeline/event"
)

// Bounds of a corpus.
const (
	maxLine  = 1 << 20 // bytes of a playlist as text
	maxWords = math.MaxInt32
)

// Corpus is playlists as numbers.
type Corpus struct {
	ids   []string // of tracks, by number
	words []int32  // the playlists one behind the other
	ends  []int    // where in words each playlist ends
	index map[string]int32
}

func newCorpus() *Corpus { return &Corpus{index: map[string]int32{}} }

// NewCorpus takes playlists of track ids, in their order. Empty ones are passed over. The error names the playlist
// with an id that is none.
func NewCorpus(playlists iter.Seq[[]string]) (*Corpus, error) {
	c := newCorpus()
	n := 0
	for playlist := range playlists {
		n++
		for _, id := range playlist {
			if err := c.add([]byte(id)); err != nil {
				return nil, fmt.Errorf("playlist %d: %w", n, err)
			}
		}
		c.end()
	}
	return c, nil
}

// LoadCorpus reads a file of playlists; see ReadCorpus.
func LoadCorpus(path string) (*Corpus, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening playlists: %w", err)
	}
	defer f.Close()
	c, err := ReadCorpus(f)
	if err != nil {
		return nil, fmt.Errorf("reading playlists %s: %w", path, err)
	}
	return c, nil
}

// ReadCorpus reads text, which may be gzipped, with a playlist on each line: track ids separated by blanks. Errors
// say on which line.
func ReadCorpus(r io.Reader) (*Corpus, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	r = buffered
	// A reader too short or broken to peek into says so again when it is read.
	if magic, err := buffered.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		r = zipped
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	c := newCorpus()
	n := 0
	for lines.Scan() {
		n++
		for id := range bytes.FieldsSeq(lines.Bytes()) {
			if err := c.add(id); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
		c.end()
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: want at most %d bytes", n+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("after line %d: %w", n, err)
	}
	return c, nil
}

func (c *Corpus) add(id []byte) error {
	if len(c.words) == maxWords {
		return fmt.Errorf("want at most %d tracks in all playlists", maxWords)
	}
	word, known := c.index[string(id)]
	if !known {
		if !event.ValidObject(string(id)) {
			return fmt.Errorf("track %.140q: want 1–128 of A–Z a–z 0–9 . _ : -", id)
		}
		word = int32(len(c.ids))
		c.ids = append(c.ids, string(id))
		c.index[string(id)] = word
	}
	c.words = append(c.words, word)
	return nil
}

func (c *Corpus) end() {
	if n := len(c.ends); len(c.words) > 0 && (n == 0 || c.ends[n-1] < len(c.words)) {
		c.ends = append(c.ends, len(c.words))
	}
}

// Playlists is how many there are, Words how many tracks they hold together, Tracks how many different ones.
func (c *Corpus) Playlists() int { return len(c.ends) }

// Words is the number of tracks in all playlists together, each as often as it stands there.
func (c *Corpus) Words() int { return len(c.words) }

// Tracks is the number of different tracks.
func (c *Corpus) Tracks() int { return len(c.ids) }

// sentences are the playlists.
func (c *Corpus) sentences() iter.Seq[[]int32] {
	return func(yield func([]int32) bool) {
		start := 0
		for _, end := range c.ends {
			if !yield(c.words[start:end]) {
				return
			}
			start = end
		}
	}
}
