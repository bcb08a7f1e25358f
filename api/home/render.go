package home

import (
	"time"

	"homefeed/api/cardtoken"
	"homefeed/api/homewire"
	"homefeed/shelves/shelfpb"
)

// Render says how Home becomes bytes.
type Render struct {
	// Tokens make the cards' context tokens; nil: cards have none.
	Tokens *cardtoken.Listener
	// NextCards makes the page token of a shelf that has more cards; nil: shelves have none.
	NextCards func(*Shelf) (string, error)
}

// Append appends an encoded homepb.Home with the shelves.
func (r Render) Append(dst []byte, h *Home) ([]byte, error) {
	var wire homewire.Shelf
	for i := range h.Shelves {
		if err := r.shelf(&wire, &h.Shelves[i]); err != nil {
			return nil, err
		}
		dst = homewire.AppendToHome(dst, &wire)
	}
	return dst, nil
}

// AppendShelf appends one encoded shelfpb.Shelf.
func (r Render) AppendShelf(dst []byte, s *Shelf) ([]byte, error) {
	var wire homewire.Shelf
	if err := r.shelf(&wire, s); err != nil {
		return nil, err
	}
	return homewire.AppendShelf(dst, &wire), nil
}

func (r Render) shelf(wire *homewire.Shelf, s *Shelf) error {
	*wire = homewire.Shelf{
		Header: homewire.Header{Name: s.Name, Title: s.Title, Status: s.Rung.Status, Component: s.place.component},
		Meta:   s.meta, Cards: s.Cards, First: s.First,
	}
	if s.Rung.Status == shelfpb.Status_LAST_GOOD {
		wire.Header.AgeSeconds = int64(s.Rung.Age / time.Second)
	}
	if s.More > 0 && r.NextCards != nil {
		var err error
		if wire.Header.NextPageToken, err = r.NextCards(s); err != nil {
			return err
		}
	}
	if r.Tokens != nil && len(s.Cards) > 0 {
		wire.Contexts = r.Tokens.Shelf(cardtoken.Card{
			Shelf: s.Name, Status: s.Rung.Status, AsOf: s.Rung.AsOf, Trigger: string(s.trigger), Place: s.Place,
		})
	}
	return nil
}
