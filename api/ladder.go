package api

import (
	"time"

	"homefeed/api/homewire"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// Rungs is what one shelf could show, from best to worst.
type Rungs struct {
	Now      time.Time
	Newest   store.Cell    // the newest generation; its zero value when there is none or the store is away
	MinCards int           // a cell with fewer is passed over
	GoodFor  time.Duration // how long a cell is fresh after its as-of
	Default  []byte        // the editors' cards, encoded; nil when there are none
}

// Rung is what the shelf shows and which rung that is.
type Rung struct {
	Status shelfpb.Status
	Body   []byte        // an encoded shelfpb.Shelf with the fields 5 to 15; nil when left out
	AsOf   time.Time     // of a cell
	Age    time.Duration // of a cell, never below 0
	Broken error         // set when there was a cell and its bytes are not a shelf's
}

// Ladder goes down from a fresh cell to the last good one, the editors' default and leaving the shelf out. It never
// fails: what is wrong with a rung means the next one down.
func Ladder(r Rungs) Rung {
	var broken error
	if !r.Newest.AsOf.IsZero() {
		cards, err := homewire.Cards(r.Newest.Data)
		if broken = err; err == nil && cards >= max(r.MinCards, 1) {
			rung := Rung{
				Status: shelfpb.Status_FRESH,
				Body:   r.Newest.Data, AsOf: r.Newest.AsOf, Age: max(r.Now.Sub(r.Newest.AsOf), 0),
			}
			if rung.Age > r.GoodFor {
				rung.Status = shelfpb.Status_LAST_GOOD
			}
			return rung
		}
	}
	if len(r.Default) > 0 {
		return Rung{Status: shelfpb.Status_DEFAULT, Body: r.Default, Broken: broken}
	}
	return Rung{Status: shelfpb.Status_LEFT_OUT, Broken: broken}
}
