// Package homewire makes Home by joining bytes. A cell holds a shelfpb.Shelf's fields 5 to 15, already encoded;
// encoded messages of one type concatenate into their merge, so a shelf of Home is a header with the other fields
// followed by the cell as it is, and no card is decoded on the way.
package homewire

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"homefeed/shelves/shelfpb"
)

// The field numbers of homepb.Home and shelfpb.Shelf.
const (
	homeShelves    protowire.Number = 1
	homeNextPage   protowire.Number = 2
	homeNewer      protowire.Number = 3
	homeDegraded   protowire.Number = 4
	shelfName      protowire.Number = 1
	shelfTitle     protowire.Number = 2
	shelfStatus    protowire.Number = 3
	shelfAge       protowire.Number = 4
	shelfTitleArgs protowire.Number = 5
	shelfCards     protowire.Number = 7
	shelfCellEnds  protowire.Number = 15 // the last one that a cell may have
	shelfComponent protowire.Number = 16
	shelfNextPage  protowire.Number = 17
	shelfTrigger   protowire.Number = 8
	cardURI        protowire.Number = 1
	cardArtist     protowire.Number = 6
	cardContext    protowire.Number = 8
	entryKey       protowire.Number = 1
	entryValue     protowire.Number = 2
)

// Header is what the API says of a shelf; the cell says the rest. Texts are UTF-8.
type Header struct {
	Name       string
	Title      []byte
	Status     shelfpb.Status
	AgeSeconds int64
	Component  shelfpb.Component
	// NextPageToken is where the rest of the cards is.
	NextPageToken string
}

// Shelf is one shelf about to be written: a header, what its cell says besides cards, and the cards.
type Shelf struct {
	Header Header
	Meta   []byte // the cell's fields but its cards, as Parts has them
	Cards  []Card
	First  int // the position of the first of Cards
	// Contexts make the cards' context tokens; nil: cards have none.
	Contexts Contexts
}

// Contexts make the context tokens of a shelf's cards, all of one length.
type Contexts interface {
	Len() int
	Append(dst []byte, position int, uriHash uint64) []byte
}

// AppendShelf appends an encoded shelfpb.Shelf.
func AppendShelf(dst []byte, s *Shelf) []byte {
	var scratch [1 << 10]byte
	return s.append(dst, appendHeader(scratch[:0], s.Header))
}

// AppendToHome appends the same as one element of homepb.Home.shelves.
func AppendToHome(dst []byte, s *Shelf) []byte {
	var scratch [1 << 10]byte
	header := appendHeader(scratch[:0], s.Header)
	size, context := len(header)+len(s.Meta), s.contextSize()
	for i := range s.Cards {
		size += 1 + protowire.SizeBytes(len(s.Cards[i].Raw)+context)
	}
	dst = protowire.AppendTag(dst, homeShelves, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	return s.append(dst, header)
}

// The tags of what there are hundreds of: a byte each, which is appended as it is.
const (
	cardTag    = byte(shelfCards)<<3 | byte(protowire.BytesType)
	contextTag = byte(cardContext)<<3 | byte(protowire.BytesType)
)

// contextSize is how long each card's context makes it, 0 when cards have none.
func (s *Shelf) contextSize() int {
	if s.Contexts == nil {
		return 0
	}
	return 1 + protowire.SizeBytes(s.Contexts.Len())
}

// append writes the header, the rest and the cards. A card's context follows the card's own fields: they are one
// message, so no card is decoded to add it.
func (s *Shelf) append(dst, header []byte) []byte {
	dst = append(dst, header...)
	dst = append(dst, s.Meta...)
	context, length := s.contextSize(), 0
	if context > 0 {
		length = s.Contexts.Len()
	}
	for i := range s.Cards {
		card := &s.Cards[i]
		dst = appendSize(dst, cardTag, len(card.Raw)+context)
		dst = append(dst, card.Raw...)
		if context > 0 {
			dst = s.Contexts.Append(appendSize(dst, contextTag, length), s.First+i, card.Hash)
		}
	}
	return dst
}

// appendSize appends a tag and a length, both mostly short.
func appendSize(dst []byte, tag byte, size int) []byte {
	switch {
	case size < 1<<7:
		return append(dst, tag, byte(size))
	case size < 1<<14:
		return append(dst, tag, byte(size)|0x80, byte(size>>7))
	}
	return protowire.AppendVarint(append(dst, tag), uint64(size))
}

func appendHeader(dst []byte, h Header) []byte {
	if h.Name != "" {
		dst = protowire.AppendTag(dst, shelfName, protowire.BytesType)
		dst = protowire.AppendString(dst, h.Name)
	}
	if len(h.Title) > 0 {
		dst = protowire.AppendTag(dst, shelfTitle, protowire.BytesType)
		dst = protowire.AppendBytes(dst, h.Title)
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
	if h.NextPageToken != "" {
		dst = protowire.AppendTag(dst, shelfNextPage, protowire.BytesType)
		dst = protowire.AppendString(dst, h.NextPageToken)
	}
	return dst
}

var errHeaderField = errors.New("cell: want the fields 5 to 15 only")

// Card is a card of a cell. The slices are the cell's memory.
type Card struct {
	Raw  []byte // as it is encoded
	URI  []byte
	Hash uint64 // HashURI of it
}

// HashURI is how a card's URI is known where there are many: XXH3, which takes half of XXH64's time for so few bytes.
func HashURI(uri []byte) uint64 { return xxh3.Hash(uri) }

// Parts is what cells are made of.
type Parts struct {
	Cards   []Card
	Meta    []byte // every field but the cards
	Trigger []byte // of the last cell, in its memory
}

// Add takes a cell apart without decoding its cards: it finds their URIs and passes over the rest by length. It fails
// when a field is cut off or is the API's to write, or a card has no URI, so that one bad cell can't make all of Home
// unreadable; what was added before that stays.
func (p *Parts) Add(cell []byte) error {
	p.Trigger = nil
	for len(cell) > 0 {
		num, kind, value, n, err := field(cell)
		if err != nil {
			return err
		}
		switch {
		case num <= shelfAge || num > shelfCellEnds:
			return errHeaderField
		case num == shelfCards && kind == protowire.BytesType:
			uri, err := cardField(value, cardURI)
			if err != nil {
				return err
			}
			if len(uri) == 0 {
				return errNoURI
			}
			p.Cards = append(p.Cards, Card{Raw: value, URI: uri, Hash: HashURI(uri)})
		default:
			if num == shelfTrigger && kind == protowire.BytesType {
				p.Trigger = value
			}
			p.Meta = append(p.Meta, cell[:n]...)
		}
		cell = cell[n:]
	}
	return nil
}

var errNoURI = errors.New("cell: a card has no uri")

// Artist is the card's artist, nil when it has none.
func (c Card) Artist() []byte {
	artist, err := cardField(c.Raw, cardArtist)
	if err != nil {
		return nil
	}
	return artist
}

// cardField is the first field with the number, nil when there is none. The runner writes each once, so the first is
// the only one, and the URI is found at once: it has the lowest number.
func cardField(card []byte, number protowire.Number) ([]byte, error) {
	for len(card) > 0 {
		num, kind, value, n, err := field(card)
		if err != nil {
			return nil, err
		}
		if num == number && kind == protowire.BytesType {
			return value, nil
		}
		card = card[n:]
	}
	return nil, nil
}

// TitleArg is the value of the cell's title_args[name], in the cell's memory; false when it is missing or the cell is
// broken.
func TitleArg(cell []byte, name string) (value []byte, ok bool) {
	for len(cell) > 0 {
		num, kind, entry, n, err := field(cell)
		if err != nil {
			return nil, false
		}
		cell = cell[n:]
		if num != shelfTitleArgs || kind != protowire.BytesType {
			continue
		}
		k, v, err := mapEntry(entry)
		if err != nil {
			return nil, false
		}
		if string(k) == name { // the last one counts, as in every protobuf map
			value, ok = v, true
		}
	}
	return value, ok && utf8.Valid(value)
}

func mapEntry(entry []byte) (key, value []byte, err error) {
	for len(entry) > 0 {
		num, kind, data, n, err := field(entry)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case num == entryKey && kind == protowire.BytesType:
			key = data
		case num == entryValue && kind == protowire.BytesType:
			value = data
		}
		entry = entry[n:]
	}
	return key, value, nil
}

// field finds the end of the first field, n bytes from the beginning. value is set for length-prefixed fields. Of those
// nearly every one has a number below 16 and less than 16 KiB, and Home asks for hundreds: they don't take the general
// way.
func field(b []byte) (num protowire.Number, kind protowire.Type, value []byte, n int, err error) {
	if len(b) > 3 && b[0] < 0x80 && b[0] >= 1<<3 && protowire.Type(b[0]&7) == protowire.BytesType {
		size, head := int(b[1]), 2
		if size >= 0x80 {
			size, head = size&0x7f|int(b[2])<<7, 3
		}
		if b[head-1] < 0x80 && size <= len(b)-head {
			n = head + size
			return protowire.Number(b[0] >> 3), protowire.BytesType, b[head:n:n], n, nil
		}
	}
	return anyField(b)
}

func anyField(b []byte) (num protowire.Number, kind protowire.Type, value []byte, n int, err error) {
	num, kind, head := protowire.ConsumeTag(b)
	if head < 0 {
		return 0, 0, nil, 0, fmt.Errorf("cell: %w", protowire.ParseError(head))
	}
	if kind == protowire.BytesType {
		value, n = protowire.ConsumeBytes(b[head:])
	} else {
		n = protowire.ConsumeFieldValue(num, kind, b[head:])
	}
	if n < 0 {
		return 0, 0, nil, 0, fmt.Errorf("cell: %w", protowire.ParseError(n))
	}
	return num, kind, value, head + n, nil
}

// Trailer is what Home says besides its shelves.
type Trailer struct {
	NextPageToken string
	Newer         bool
	Degraded      bool
}

// AppendTrailer ends an encoded homepb.Home.
func AppendTrailer(dst []byte, t Trailer) []byte {
	if t.NextPageToken != "" {
		dst = protowire.AppendTag(dst, homeNextPage, protowire.BytesType)
		dst = protowire.AppendString(dst, t.NextPageToken)
	}
	if t.Newer {
		dst = append(protowire.AppendTag(dst, homeNewer, protowire.VarintType), 1)
	}
	if t.Degraded {
		dst = append(protowire.AppendTag(dst, homeDegraded, protowire.VarintType), 1)
	}
	return dst
}
