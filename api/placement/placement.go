// Package placement is Home as editors arrange it: a document of placements, one a shelf, from top to bottom. The
// CMS keeps its versions, the API serves the published one; both read, write and check it with this package.
package placement

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// Placements is a whole document. The zero value has no shelf at all; Default has all.
type Placements struct {
	Shelves []Placement `json:"shelves"`
}

// Placement is one shelf's place. Every field but Shelf may be left at its zero value.
type Placement struct {
	// Shelf is the name of a declared shelf; each has one place at most.
	Shelf string `json:"shelf"`

	// Title is shown above it; {name} is replaced by the row's values. Empty: the shelf's own title.
	Title string `json:"title,omitempty"`
	// Titles has Title by locale, "sv" or "pt-BR". A listener's "sv-SE" takes "sv-SE", else "sv", else Title.
	Titles map[string]string `json:"titles,omitempty"`
	// PlainTitle is shown when the row lacks a value that the title mentions, and above default cards. Empty: the
	// title if it mentions none, else the shelf's name in words.
	PlainTitle string `json:"plainTitle,omitempty"`
	// PlainTitles has PlainTitle by locale.
	PlainTitles map[string]string `json:"plainTitles,omitempty"`
	// Component says how the shelf is meant to be drawn. Empty: Carousel.
	Component Component `json:"component,omitempty"`

	// Markets are where it is shown, by ISO 3166-1 alpha-2 codes. Empty: everywhere.
	Markets []string `json:"markets,omitempty"`
	// Platforms are on what it is shown, such as "ios". Empty: on all.
	Platforms []string `json:"platforms,omitempty"`
	// AudiencePercent is how many of a hundred listeners see it, always the same ones; who is among 10 is among 20
	// too. 0 means all.
	AudiencePercent int `json:"audiencePercent,omitempty"`
	// From and To are when it is shown: from From until just before To. Zero: no bound.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`

	// MinCards is how many cards there must be for the shelf to be shown; 0 means 1.
	MinCards int `json:"minCards,omitempty"`
	// MaxCards is how many are shown; what a row has beyond that fills up for cards that drop out. 0 means all.
	MaxCards int `json:"maxCards,omitempty"`
	// MaxAgeSeconds is how old a row may be to be shown at all; 0 means any age.
	MaxAgeSeconds int64 `json:"maxAgeSeconds,omitempty"`
	// Repeat says whether its cards may also stand on shelves above it. Empty: as the shelf declares.
	Repeat Repeat `json:"repeat,omitempty"`

	// Pins are cards that come first, before those of the row. They need no row.
	Pins Cards `json:"pins,omitempty"`
	// Blocks are the URIs of tracks and artists that this shelf never shows; an artist's tracks go with the artist.
	Blocks []string `json:"blocks,omitempty"`
	// DefaultCards are shown when there is no row to show. Empty: the shelf is left out then.
	DefaultCards Cards `json:"defaultCards,omitempty"`
}

// Component is how a shelf is meant to be drawn: what it is for, not how it looks.
type Component string

// The components.
const (
	Carousel Component = "carousel" // a row to swipe through
	Grid     Component = "grid"     // small cards to get back to something fast
	List     Component = "list"     // one card a line, with its subtitle
	Hero     Component = "hero"     // one large card
)

// Proto is the component as clients get it.
func (c Component) Proto() shelfpb.Component {
	switch c {
	case Grid:
		return shelfpb.Component_GRID
	case List:
		return shelfpb.Component_LIST
	case Hero:
		return shelfpb.Component_HERO
	}
	return shelfpb.Component_CAROUSEL
}

// Repeat is whether a card may stand on a shelf that is on one above it already.
type Repeat string

// The rules.
const (
	RepeatAllowed Repeat = "allowed" // as on shelves that recall, such as what was played last
	RepeatNever   Repeat = "never"   // as on shelves that offer something new
)

// Cards are in JSON what they are on Home.
type Cards []*shelfpb.Card

// UnmarshalJSON refuses fields that a card doesn't have.
func (c *Cards) UnmarshalJSON(data []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("cards: %w", err)
	}
	cards := make(Cards, len(raw))
	for i, r := range raw {
		cards[i] = new(shelfpb.Card)
		if err := protojson.Unmarshal(r, cards[i]); err != nil {
			return fmt.Errorf("cards[%d]: %w", i, err)
		}
	}
	*c = cards
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (c Cards) MarshalJSON() ([]byte, error) {
	raw := make([]json.RawMessage, len(c))
	for i, card := range c {
		b, err := protojson.Marshal(card)
		if err != nil {
			return nil, fmt.Errorf("cards[%d]: %w", i, err)
		}
		raw[i] = b
	}
	return json.Marshal(raw)
}

// Default puts every shelf in the order given, under its own title.
func Default(shelves []*shelf.Shelf) Placements {
	p := Placements{Shelves: make([]Placement, len(shelves))}
	for i, s := range shelves {
		p.Shelves[i] = Placement{Shelf: s.Name}
	}
	return p
}

// Read reads Placements in JSON. The error says what is wrong and where; Validate checks what they say.
func Read(r io.Reader) (Placements, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var p Placements
	if err := d.Decode(&p); err != nil {
		return Placements{}, fmt.Errorf("reading placements: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Placements{}, errors.New("reading placements: want one JSON object and nothing behind it")
	}
	return p, nil
}
