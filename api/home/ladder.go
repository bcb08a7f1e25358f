package home

import (
	"time"

	"homefeed/api/homewire"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// Rungs is what one shelf could show, from best to worst.
type Rungs struct {
	Now     time.Time
	Newest  store.Cell    // the newest generation; its zero value when there is none or the store is away
	Made    bool          // Newest was made for this request
	Stale   bool          // Newest was the newest when the store was last in reach
	GoodFor time.Duration // how long a cell is fresh after its as-of
	MaxAge  time.Duration // how old a cell may be to be shown at all; 0: any age
	Default []byte        // the editors' cards, encoded

	MinCards int // a cell with fewer is passed over
	// Take says how many of a body's cards can be shown. nil: all of them.
	Take func(body []byte) (cards int, err error)
}

// Rung is what the shelf shows and which rung that is.
type Rung struct {
	Status shelfpb.Status
	Body   []byte        // an encoded shelfpb.Shelf with the fields 5 to 15; nil when left out
	AsOf   time.Time     // of a cell
	Age    time.Duration // of a cell, never below 0
	Broken error         // set when there was a cell and its bytes are not a shelf's
}

// Ladder goes down from a fresh cell to the last good one, one made on demand, the editors' default and leaving the
// shelf out. It never fails: what is wrong with a rung means the next one down.
//
// A cell made on demand stands here in place of the row that the listener hadn't; whoever reads the row asks for it.
func Ladder(r Rungs) Rung {
	take := r.Take
	if take == nil {
		take = countCards
	}
	var broken error
	if age := max(r.Now.Sub(r.Newest.AsOf), 0); !r.Newest.AsOf.IsZero() && (r.MaxAge <= 0 || age <= r.MaxAge) {
		cards, err := take(r.Newest.Data)
		if broken = err; err == nil && cards >= max(r.MinCards, 1) {
			rung := Rung{Status: shelfpb.Status_FRESH, Body: r.Newest.Data, AsOf: r.Newest.AsOf, Age: age}
			switch {
			case r.Made:
				rung.Status = shelfpb.Status_ON_DEMAND
			case age > r.GoodFor || r.Stale:
				rung.Status = shelfpb.Status_LAST_GOOD
			}
			return rung
		}
	}
	if cards, err := take(r.Default); err == nil && cards > 0 {
		return Rung{Status: shelfpb.Status_DEFAULT, Body: r.Default, Broken: broken}
	}
	return Rung{Status: shelfpb.Status_LEFT_OUT, Broken: broken}
}

func countCards(body []byte) (int, error) {
	var p homewire.Parts
	err := p.Add(body)
	return len(p.Cards), err
}
