package home

import (
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"homefeed/shelves/store"
)

// HiddenColumn is the column of a listener's row that has one thing that the listener hid: a column each, so that
// hiding two at once on two phones loses neither, and in the row, so that Home is still one read and erasing the row
// erases them too.
func HiddenColumn(uri string) string {
	return hiddenPrefix + fmt.Sprintf("%016x", xxhash.Sum64String(uri))
}

const hiddenPrefix = "hidden~"

// Reserved reports whether a shelf of the name would get in the way of HiddenColumn.
func Reserved(shelf string) bool { return shelf+"~" == hiddenPrefix }

// IsHidden reports whether a column is one of HiddenColumn's.
func IsHidden(column string) bool { return strings.HasPrefix(column, hiddenPrefix) }

// Hidden is what a listener doesn't want to see.
type Hidden struct {
	uris    map[string]bool
	artists bool // an artist is among them
}

// URI reports whether a track or an artist is hidden.
func (h Hidden) URI(uri []byte) bool { return h.uris[string(uri)] }

// Len is how many there are.
func (h Hidden) Len() int { return len(h.uris) }

// HiddenOf reads it from the listener's row. A cell holds the URI; an empty one shows it again.
func HiddenOf(row store.Row) Hidden {
	var h Hidden
	for i, c := range row.Cells {
		if !IsHidden(c.Shelf) || len(c.Data) == 0 || i > 0 && row.Cells[i-1].Shelf == c.Shelf {
			continue
		}
		if h.uris == nil {
			h.uris = map[string]bool{}
		}
		h.uris[string(c.Data)] = true
		h.artists = h.artists || strings.HasPrefix(string(c.Data), "artist:")
	}
	return h
}
