package sgns

import (
	"fmt"
	"iter"
	"math"

	"homefeed/pipeline/event"
)

// maxWords is the most tracks in all playlists of a corpus.
const maxWords = math.MaxInt32

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

// Playlist is the tracks of playlist i, by number, in their order. It must not be written to.
func (c *Corpus) Playlist(i int) []int32 {
	start := 0
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.words[start:c.ends[i]]
}

// ID is the track of a number.
func (c *Corpus) ID(track int32) string { return c.ids[track] }

// Number is the number of a track.
func (c *Corpus) Number(id string) (track int32, ok bool) {
	track, ok = c.index[id]
	return track, ok
}
