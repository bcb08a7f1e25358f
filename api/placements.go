package api

import (
	"fmt"
	"io"

	"homefeed/api/home"
	"homefeed/api/placement"
	"homefeed/shelves/shelf"
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
	c, err := home.NewConfig(p, a.shelves)
	if err != nil {
		return err
	}
	a.homes.Show(c)
	return nil
}

// PlacementsVersion tells the documents that SetPlacements was given apart: the same document has the same version
// in every process.
func (a *API) PlacementsVersion() string { return a.homes.Shown().Version }

func checkShelves(shelves []*shelf.Shelf) error {
	seen := make(map[string]bool, len(shelves))
	for _, s := range shelves {
		if err := s.Validate(); err != nil {
			return err
		}
		if seen[s.Name] {
			return fmt.Errorf("shelf %q: declared twice", s.Name)
		}
		if home.Reserved(s.Name) {
			return fmt.Errorf("shelf %q: the name is that of what listeners hide", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}
