package sgns

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Format is how a file holds playlists, one on each line. Any may be gzipped.
type Format string

const (
	// Text is track ids separated by blanks.
	Text Format = "text"
	// JSONLines is a list of track ids, ["a","b"], or an object whose "tracks" are one: {"tracks":["a","b"]}. What else
	// the object holds is passed over.
	JSONLines Format = "jsonl"
)

// maxLine is the most bytes of a playlist.
const maxLine = 1 << 20

// Validate says which formats there are. An empty one is chosen by a file's name.
func (f Format) Validate() error {
	switch f {
	case "", Text, JSONLines:
		return nil
	}
	return fmt.Errorf("format %q: want text or jsonl", string(f))
}

// LoadCorpus reads a file of playlists; see ReadCorpus. Without a format, a name that ends in .jsonl, or .jsonl.gz,
// is of JSONLines, and any other of Text.
func LoadCorpus(path string, format Format) (*Corpus, error) {
	if format == "" {
		format = Text
		if strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".jsonl") {
			format = JSONLines
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening playlists: %w", err)
	}
	defer f.Close()
	c, err := ReadCorpus(f, format)
	if err != nil {
		return nil, fmt.Errorf("reading playlists %s: %w", path, err)
	}
	return c, nil
}

// ReadCorpus reads playlists, which may be gzipped. Empty ones are passed over. Errors say on which line.
func ReadCorpus(r io.Reader, format Format) (*Corpus, error) {
	if err := format.Validate(); err != nil {
		return nil, err
	}
	r, err := unzipped(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	c := newCorpus()
	read := c.text
	if format == JSONLines {
		read = c.json
	}
	n := 0
	for lines.Scan() {
		n++
		if err := read(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
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

// unzipped is what r holds if it is gzipped, and else r.
func unzipped(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	// A reader too short or broken to peek into says so again when it is read.
	if magic, err := buffered.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(buffered)
	}
	return buffered, nil
}

func (c *Corpus) text(line []byte) error {
	for id := range bytes.FieldsSeq(line) {
		if err := c.add(id); err != nil {
			return err
		}
	}
	return nil
}

func (c *Corpus) json(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	var playlist struct {
		Tracks []string `json:"tracks"`
	}
	var into any = &playlist
	if line[0] == '[' {
		into = &playlist.Tracks
	}
	err := json.Unmarshal(line, into)
	if err == nil && playlist.Tracks == nil {
		err = errors.New("no tracks")
	}
	if err != nil {
		return fmt.Errorf(`want {"tracks":["a","b"]} or ["a","b"]: %w`, err)
	}
	for _, id := range playlist.Tracks {
		if err := c.add([]byte(id)); err != nil {
			return err
		}
	}
	return nil
}
