package check

import (
	"fmt"
	"strings"

	"homefeed/api/homepb"
	"homefeed/api/placement"
	"homefeed/api/title"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// counts is what a sample of Homes says of each placement.
type counts struct {
	placements placement.Placements
	index      map[string]int // of a shelf's placement
	seen       []int          // Homes that the placement is on
	empty      []int          // of those, without a card
	called     map[string]string
	repeats    []map[int]int // Homes on which it repeats a card of the placement above it, by that one's index
}

func newCounts(p placement.Placements, shelves []*shelf.Shelf) *counts {
	n := len(p.Shelves)
	c := &counts{called: map[string]string{}, placements: p, index: make(map[string]int, n), seen: make([]int, n), empty: make([]int, n), repeats: make([]map[int]int, n)}
	for i, one := range p.Shelves {
		c.index[one.Shelf] = i
		c.repeats[i] = map[int]int{}
	}
	for _, s := range shelves {
		c.called[s.Name] = strings.ReplaceAll(s.Name, "_", " ")
		if s.Title != "" && !title.Parse(s.Title).Mentions() {
			c.called[s.Name] = s.Title
		}
	}
	return c
}

// add counts a Home for the placements of only. Others of it count where they are shown in a view of their own.
func (c *counts) add(home *homepb.Home, only []int) {
	wanted := make(map[int]bool, len(only))
	for _, i := range only {
		wanted[i] = true
	}
	above := -1
	var aboveCards []*shelfpb.Card
	for _, s := range home.GetShelves() {
		i, ok := c.index[s.GetName()]
		if !ok {
			continue
		}
		if wanted[i] {
			c.seen[i]++
		}
		if len(s.GetCards()) == 0 {
			if wanted[i] {
				c.empty[i]++
			}
			continue
		}
		if wanted[i] && above >= 0 && share(aboveCards, s.GetCards()) {
			c.repeats[i][above]++
		}
		above, aboveCards = i, s.GetCards()
	}
}

func share(a, b []*shelfpb.Card) bool {
	uris := make(map[string]bool, len(a))
	for _, card := range a {
		uris[card.GetUri()] = true
	}
	for _, card := range b {
		if uris[card.GetUri()] {
			return true
		}
	}
	return false
}

func (c *counts) findings(listeners int) []Finding {
	var found []Finding
	about := func(i, n, of int, message string) {
		f := warn(i, "shelf", "%s for %d of %d sampled listeners", message, n, of)
		f.Listeners, f.Sampled = n, of
		found = append(found, f)
	}
	for i := range c.placements.Shelves {
		switch {
		case c.seen[i] == 0:
			found = append(found, warn(i, "shelf", "none of %d sampled listeners would see it: its markets, platforms, share or times leave all of them out", listeners))
		case c.empty[i] > 0:
			about(i, c.empty[i], c.seen[i], "it would be empty")
		}
		for above := range c.placements.Shelves { // not over the map, whose order changes
			if n := c.repeats[i][above]; n > 0 {
				about(i, n, c.seen[i], fmt.Sprintf("it repeats cards of %s above it", c.called[c.placements.Shelves[above].Shelf]))
			}
		}
	}
	return found
}
