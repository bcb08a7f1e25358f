package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	"homefeed/api/placement"
	"homefeed/api/title"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// Placements, Placement and Cards are package placement's: what SetPlacements takes.
type (
	Placements = placement.Placements
	Placement  = placement.Placement
	Cards      = placement.Cards
)

// DefaultPlacements puts every shelf in the order given, under its own title.
func DefaultPlacements(shelves []*shelf.Shelf) Placements { return placement.Default(shelves) }

// ReadPlacements reads Placements in JSON; New and SetPlacements check what they say.
func ReadPlacements(r io.Reader) (Placements, error) { return placement.Read(r) }

// SetPlacements makes p what Home shows from the next request on; requests under way keep what they began with. A
// document without shelves means DefaultPlacements. After an error, which names the fields that are wrong, nothing
// has changed. It is safe for concurrent use.
func (a *API) SetPlacements(p Placements) error {
	c, err := newConfig(p, a.shelves)
	if err != nil {
		return err
	}
	for name, pl := range c.all {
		pl.metrics = a.metrics.place(name)
	}
	a.config.Store(c)
	return nil
}

// PlacementsVersion tells the documents that SetPlacements was given apart: the same document has the same version
// in every process.
func (a *API) PlacementsVersion() string { return a.config.Load().version }

// config is a document made ready for serving. It never changes.
type config struct {
	version    string
	places     []*place          // Home from top to bottom
	all        map[string]*place // every declared shelf, placed or not
	hasMarkets bool              // Home has a market's shelf
}

// place is a Placement made ready for serving.
type place struct {
	index      int // among all
	shelf      *shelf.Shelf
	guard      shelf.Guard
	title      title.Template
	plainTitle string
	component  shelfpb.Component
	minCards   int
	defaults   []byte // encoded cards
	metrics    placeMetrics
}

func checkShelves(shelves []*shelf.Shelf) error {
	seen := make(map[string]bool, len(shelves))
	for _, s := range shelves {
		if err := s.Validate(); err != nil {
			return err
		}
		if seen[s.Name] {
			return fmt.Errorf("shelf %q: declared twice", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

// newConfig checks the document against the shelves.
func newConfig(p Placements, shelves []*shelf.Shelf) (*config, error) {
	if len(p.Shelves) == 0 {
		p = DefaultPlacements(shelves)
	}
	if err := p.Validate(shelves); err != nil {
		return nil, fmt.Errorf("placements: %w", err)
	}
	document, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("placements: %w", err)
	}
	sum := sha256.Sum256(document)
	c := &config{version: hex.EncodeToString(sum[:8]), all: make(map[string]*place, len(shelves))}
	for i, s := range shelves {
		pl, err := newPlace(&Placement{Shelf: s.Name}, s, i)
		if err != nil {
			return nil, err
		}
		c.all[s.Name] = pl
	}
	for i := range p.Shelves {
		one := &p.Shelves[i]
		declared := c.all[one.Shelf]
		pl, err := newPlace(one, declared.shelf, declared.index)
		if err != nil {
			return nil, fmt.Errorf("placements: shelves[%d].%w", i, err)
		}
		c.all[one.Shelf] = pl
		c.places = append(c.places, pl)
		c.hasMarkets = c.hasMarkets || pl.shelf.Scope == shelf.Market
	}
	return c, nil
}

func newPlace(p *Placement, s *shelf.Shelf, index int) (*place, error) {
	text := p.Title
	if text == "" {
		text = s.Title
	}
	if text == "" {
		text = inWords(s.Name)
	}
	pl := &place{index: index, shelf: s, guard: s.Guard.WithDefaults(), title: title.Parse(text), plainTitle: p.PlainTitle,
		component: p.Component.Proto()}
	if pl.plainTitle == "" {
		pl.plainTitle = inWords(s.Name)
		if !pl.title.Mentions() {
			pl.plainTitle = text
		}
	}
	pl.minCards = max(p.MinCards, 1)
	var err error
	if pl.defaults, err = proto.Marshal(&shelfpb.Shelf{Cards: p.DefaultCards}); err != nil {
		return nil, errors.Join(errors.New("defaultCards: want texts in UTF-8"), err)
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
