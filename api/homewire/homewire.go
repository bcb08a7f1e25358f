// Package homewire makes Home by joining bytes. A cell holds a shelfpb.Shelf's fields 5 to 15, already encoded;
// encoded messages of one type concatenate into their merge, so a shelf of Home is a header with the other fields
// followed by the cell as it is, and no card is decoded on the way.
package homewire

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"homefeed/shelves/shelfpb"
)

// The field numbers of homepb.Home and shelfpb.Shelf.
const (
	homeShelves    protowire.Number = 1
	shelfName      protowire.Number = 1
	shelfTitle     protowire.Number = 2
	shelfStatus    protowire.Number = 3
	shelfAge       protowire.Number = 4
	shelfTitleArgs protowire.Number = 5
	shelfCards     protowire.Number = 7
	shelfCellEnds  protowire.Number = 15 // the last one that a cell may have
	shelfComponent protowire.Number = 16
	entryKey       protowire.Number = 1
	entryValue     protowire.Number = 2
)

// Header is what the API says of a shelf; the cell says the rest. Texts are UTF-8.
type Header struct {
	Name       string
	Title      string
	Status     shelfpb.Status
	AgeSeconds int64
	Component  shelfpb.Component
}

// AppendShelf appends an encoded shelfpb.Shelf made of h and cell.
func AppendShelf(dst []byte, h Header, cell []byte) []byte {
	return append(appendHeader(dst, h), cell...)
}

// AppendToHome appends the same as one element of homepb.Home.shelves.
func AppendToHome(dst []byte, h Header, cell []byte) []byte {
	var scratch [256]byte
	header := appendHeader(scratch[:0], h)
	dst = protowire.AppendTag(dst, homeShelves, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(len(header)+len(cell)))
	dst = append(dst, header...)
	return append(dst, cell...)
}

func appendHeader(dst []byte, h Header) []byte {
	if h.Name != "" {
		dst = protowire.AppendTag(dst, shelfName, protowire.BytesType)
		dst = protowire.AppendString(dst, h.Name)
	}
	if h.Title != "" {
		dst = protowire.AppendTag(dst, shelfTitle, protowire.BytesType)
		dst = protowire.AppendString(dst, h.Title)
	}
	if h.Status != 0 {
		dst = protowire.AppendTag(dst, shelfStatus, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(h.Status))
	}
	if h.AgeSeconds != 0 {
		dst = protowire.AppendTag(dst, shelfAge, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(h.AgeSeconds))
	}
	if h.Component != 0 {
		dst = protowire.AppendTag(dst, shelfComponent, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(h.Component))
	}
	return dst
}

var errHeaderField = errors.New("cell: want the fields 5 to 15 only")

// Cards counts a cell's cards and checks that its fields are whole and leave the header alone, so that one bad cell
// can't make all of Home unreadable. It looks at the outermost fields only: cards are passed over by their length.
func Cards(cell []byte) (n int, err error) {
	for len(cell) > 0 {
		num, kind, _, rest, err := field(cell)
		if err != nil {
			return 0, err
		}
		if num <= shelfAge || num > shelfCellEnds {
			return 0, errHeaderField
		}
		if num == shelfCards && kind == protowire.BytesType {
			n++
		}
		cell = rest
	}
	return n, nil
}

// TitleArg is the value of the cell's title_args[name]; false when it is missing or the cell is broken.
func TitleArg(cell []byte, name string) (value string, ok bool) {
	for len(cell) > 0 {
		num, kind, entry, rest, err := field(cell)
		if err != nil {
			return "", false
		}
		cell = rest
		if num != shelfTitleArgs || kind != protowire.BytesType {
			continue
		}
		k, v, err := mapEntry(entry)
		if err != nil {
			return "", false
		}
		if string(k) == name { // the last one counts, as in every protobuf map
			value, ok = string(v), true
		}
	}
	return value, ok && utf8.ValidString(value)
}

func mapEntry(entry []byte) (key, value []byte, err error) {
	for len(entry) > 0 {
		num, kind, data, rest, err := field(entry)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case num == entryKey && kind == protowire.BytesType:
			key = data
		case num == entryValue && kind == protowire.BytesType:
			value = data
		}
		entry = rest
	}
	return key, value, nil
}

// field splits off the first field. value is set for length-prefixed fields.
func field(b []byte) (num protowire.Number, kind protowire.Type, value, rest []byte, err error) {
	num, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, nil, nil, fmt.Errorf("cell: %w", protowire.ParseError(n))
	}
	b = b[n:]
	if kind == protowire.BytesType {
		value, n = protowire.ConsumeBytes(b)
	} else {
		n = protowire.ConsumeFieldValue(num, kind, b)
	}
	if n < 0 {
		return 0, 0, nil, nil, fmt.Errorf("cell: %w", protowire.ParseError(n))
	}
	return num, kind, value, b[n:], nil
}
