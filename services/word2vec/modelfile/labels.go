package modelfile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"homefeed/pipeline/event"
	"homefeed/services/word2vec/vectors"
)

// labels are a bit for each row and label.
type labels struct {
	names []string // in alphabetical order; the bit of names[i] is i
	words int      // uint64 of each row
	bits  []uint64
}

func newLabels(c *Content, of map[string][]string) (labels, error) {
	var l labels
	for row := range c.Len() {
		track := c.ID(row)
		for _, name := range of[track] {
			at, known := slices.BinarySearch(l.names, name)
			if known {
				continue
			}
			if !event.ValidObject(name) || len(name) > maxLabel {
				return l, fmt.Errorf("label %.100q of track %s: want 1–%d of A–Z a–z 0–9 . _ : -", name, track, maxLabel)
			}
			if len(l.names) == MaxLabels {
				return l, fmt.Errorf("label %q of track %s: want at most %d different ones", name, track, MaxLabels)
			}
			l.names = slices.Insert(l.names, at, name)
		}
	}
	l.words = (len(l.names) + 63) / 64
	l.bits = make([]uint64, c.Len()*l.words)
	for row := range c.Len() {
		for _, name := range of[c.ID(row)] {
			at, _ := slices.BinarySearch(l.names, name)
			l.bits[row*l.words+at/64] |= 1 << (at % 64)
		}
	}
	return l, nil
}

func (l *labels) validate(rows int) error {
	if !slices.IsSorted(l.names) || len(l.names) > MaxLabels || l.words != (len(l.names)+63)/64 || len(l.bits) != rows*l.words {
		return fmt.Errorf("labels: %d names, %d words: want up to %d names in order, and %d words", len(l.names), len(l.bits),
			MaxLabels, rows*((len(l.names)+63)/64))
	}
	return nil
}

func (l *labels) accept(with, without []string) func(row int) bool {
	want, mask := make([]uint64, l.words), make([]uint64, l.words)
	for _, name := range with {
		at, known := slices.BinarySearch(l.names, name)
		if !known {
			return func(int) bool { return false }
		}
		want[at/64] |= 1 << (at % 64)
		mask[at/64] |= 1 << (at % 64)
	}
	for _, name := range without {
		at, known := slices.BinarySearch(l.names, name)
		if !known {
			continue
		}
		if want[at/64]&(1<<(at%64)) != 0 {
			return func(int) bool { return false }
		}
		mask[at/64] |= 1 << (at % 64)
	}
	return func(row int) bool {
		for i, bits := range l.bits[row*l.words : (row+1)*l.words] {
			if bits&mask[i] != want[i] {
				return false
			}
		}
		return true
	}
}

// digest is the version of a model: that of the vectors, and another one for each content of labels.
func (l *labels) digest(v *vectors.Vectors) string {
	if len(l.names) == 0 {
		return v.Digest()
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", v.Digest(), strings.Join(l.names, " "))
	binary.Write(h, binary.LittleEndian, l.bits) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil)[:8])
}
