package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/title"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// Placements is Home as editors arrange it: which shelves, from top to bottom.
type Placements struct {
	Shelves []Placement `json:"shelves"`
}

// Placement is one shelf's place.
type Placement struct {
	// Shelf is the name of a declared shelf; each has one place at most.
	Shelf string `json:"shelf"`
	// Title is shown above it; {name} is replaced by the row's values. Empty: the shelf's own title.
	Title string `json:"title,omitempty"`
	// PlainTitle is shown when the row lacks a value that Title mentions, and above default cards. Empty: Title
	// if it mentions none, else the shelf's name in words.
	PlainTitle string `json:"plainTitle,omitempty"`
	// MinCards is how many cards a row must have to be shown; 0 means 1.
	MinCards int `json:"minCards,omitempty"`
	// DefaultCards are shown when the listener has no row. Empty: the shelf is left out then.
	DefaultCards Cards `json:"defaultCards,omitempty"`
}

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

// DefaultPlacements puts every shelf in the order given, under its own title.
func DefaultPlacements(shelves []*shelf.Shelf) Placements {
	p := Placements{Shelves: make([]Placement, len(shelves))}
	for i, s := range shelves {
		p.Shelves[i] = Placement{Shelf: s.Name}
	}
	return p
}

// ReadPlacements reads Placements in JSON. The error says what is wrong and where; New checks the names.
func ReadPlacements(r io.Reader) (Placements, error) {
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

// place is a Placement made ready for serving.
type place struct {
	index      int // among all
	shelf      *shelf.Shelf
	guard      shelf.Guard
	title      title.Template
	plainTitle string
	minCards   int
	defaults   []byte // encoded cards
	metrics    placeMetrics
}

// places checks the placements against the shelves. all has every declared shelf, placed or not.
func places(p Placements, shelves []*shelf.Shelf) (home []*place, all map[string]*place, err error) {
	all = make(map[string]*place, len(shelves))
	for _, s := range shelves {
		if err := s.Validate(); err != nil {
			return nil, nil, err
		}
		if all[s.Name] != nil {
			return nil, nil, fmt.Errorf("shelf %q: declared twice", s.Name)
		}
		pl, err := newPlace(Placement{Shelf: s.Name}, s)
		if err != nil {
			return nil, nil, fmt.Errorf("shelf %q: %w", s.Name, err)
		}
		pl.index = len(all)
		all[s.Name] = pl
	}
	placed := make(map[string]bool, len(p.Shelves))
	for i, one := range p.Shelves {
		declared := all[one.Shelf]
		switch {
		case declared == nil:
			return nil, nil, fmt.Errorf("placements: shelves[%d].shelf: want the name of a shelf, have %q", i, one.Shelf)
		case placed[one.Shelf]:
			return nil, nil, fmt.Errorf("placements: shelves[%d].shelf: %q has a place already", i, one.Shelf)
		}
		placed[one.Shelf] = true
		pl, err := newPlace(one, declared.shelf)
		if err != nil {
			return nil, nil, fmt.Errorf("placements: shelves[%d]: %w", i, err)
		}
		pl.index = declared.index
		all[one.Shelf] = pl
		home = append(home, pl)
	}
	return home, all, nil
}

func newPlace(p Placement, s *shelf.Shelf) (*place, error) {
	text := p.Title
	if text == "" {
		text = s.Title
	}
	if text == "" {
		text = inWords(s.Name)
	}
	pl := &place{shelf: s, guard: s.Guard.WithDefaults(), title: title.Parse(text), plainTitle: p.PlainTitle}
	if pl.plainTitle == "" {
		pl.plainTitle = inWords(s.Name)
		if !pl.title.Mentions() {
			pl.plainTitle = text
		}
	}
	if !utf8.ValidString(text) || !utf8.ValidString(pl.plainTitle) {
		return nil, errors.New("title: want UTF-8")
	}
	if p.MinCards < 0 || p.MinCards > pl.guard.MaxCards {
		return nil, fmt.Errorf("minCards: want 0 to %d, the most that the shelf ever has", pl.guard.MaxCards)
	}
	pl.minCards = max(p.MinCards, 1)
	if len(p.DefaultCards) > shelf.MaxMaxCards {
		return nil, fmt.Errorf("defaultCards: want at most %d", shelf.MaxMaxCards)
	}
	for i, c := range p.DefaultCards {
		if c.GetUri() == "" || c.GetTitle() == "" {
			return nil, fmt.Errorf("defaultCards[%d]: want a uri and a title", i)
		}
	}
	var err error
	if pl.defaults, err = proto.Marshal(&shelfpb.Shelf{Cards: p.DefaultCards}); err != nil {
		return nil, fmt.Errorf("encoding defaultCards: %w", err)
	}
	return pl, nil
}

// inWords makes "more_like_artist" into "More like artist".
func inWords(name string) string {
	words := strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	if words == "" {
		return name
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
