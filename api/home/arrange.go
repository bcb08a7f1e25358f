package home

import (
	"slices"
	"time"

	"homefeed/api/homewire"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// Viewer is who looks at Home, from where and when.
type Viewer struct {
	User     string
	Market   string // ISO 3166-1 alpha-2; empty: the world's
	Locale   string // BCP 47; empty: the editors' plain titles
	Platform string // such as "ios"; empty: unknown
	Now      time.Time
}

// Source is what there is to show.
type Source struct {
	Row     store.Row   // of the listener
	Made    bool        // Row was made for this request
	Stale   bool        // the store was out of reach: Row is what was last seen of it, if anything
	Markets []store.Row // the viewer's market, then what stands in for it
}

// Page says which part of Home is wanted. The zero Page is all of it.
type Page struct {
	Skip   map[string]bool      // shelves that earlier pages had
	Shown  map[uint32]bool      // Hash of the URIs of their cards
	AsOf   map[string]time.Time // the generations of the first page, for the shelves that follow
	Size   int                  // how many shelves; 0: all
	Cards  int                  // how many cards of a shelf; 0: all
	First  int                  // of ArrangeShelf: how many cards the pages before had; Shown has their hashes
	Broken map[string]bool      // shelves whose cells turned out not to decode
}

// Shelf is one shelf of Home as it will be shown.
type Shelf struct {
	Name  string
	Title []byte
	Rung  Rung
	Place int // on Home, from 0
	Cards []homewire.Card
	First int // the position of the first of Cards
	// More is how many cards there are beyond Cards.
	More int
	// Passed has Hash of the URIs that a later page of the shelf must not show: those of Cards, and those left out
	// because they stand above. Made only where there are More.
	Passed []uint32

	place   *place
	meta    []byte
	trigger []byte
}

// Home is what a viewer gets.
type Home struct {
	Shelves []Shelf
	More    bool                 // there are shelves beyond these
	AsOf    map[string]time.Time // of the cells of all shelves; made only where there are More
	Shown   []uint32             // Hash of the URIs of all cards so far; made only where there are More
	Newer   bool                 // there is a newer generation than Page.AsOf has
	// Until is when the same source would give another Home: a shelf grows old or its time comes. Zero: never.
	Until time.Time
}

// Hash is how Page.Shown knows a URI.
func Hash(uri []byte) uint32 { return uint32(homewire.HashURI(uri)) }

// Arrange is the Arranger's, for those who need no second Home.
func (c *Config) Arrange(src Source, v Viewer, page Page) *Home {
	return new(Arranger).Arrange(c, src, v, page)
}

// ArrangeShelf is the Arranger's, too.
func (c *Config) ArrangeShelf(name string, src Source, v Viewer, page Page) *Home {
	return new(Arranger).ArrangeShelf(c, name, src, v, page)
}

// Arranger makes Homes one after the other in the same memory. The zero Arranger is ready.
type Arranger struct {
	viewer Viewer
	page   Page
	made   bool
	stale  bool
	hidden Hidden
	cells  []store.Cell // by place.index; a zero as-of: there is none
	home   Home

	above hashes                    // of the URIs on the shelves above
	mine  []uint64                  // and of those that the last take took
	bits  uint64                    // of mine by their last 6 bits: most cards need no look at it
	parts homewire.Parts            // of all shelves, and then of the last take
	kept  struct{ cards, meta int } // how much of parts is shelves'
	texts []byte                    // of all titles that name something

	// The place whose cards are taken, and take for it: one function for all places, which the ladder calls.
	taking *place
	taker  func(body []byte) (int, error)

	repeats []uint32 // what the last take left out because it stands above
}

// Arrange makes Home, or the page of it. From top to bottom each shelf takes the cards that it may show: none that
// the listener has hidden or its editors have blocked, and, unless the shelf may repeat, none that stands above it. Home
// is valid until the next one, and as long as src is.
func (a *Arranger) Arrange(c *Config, src Source, v Viewer, page Page) *Home {
	a.begin(c, src, v, page)
	for i, p := range c.places {
		a.until(p.turns(v.Now))
		if page.Skip[p.Shelf] || !p.shows(&a.viewer) {
			continue
		}
		if page.Size > 0 && len(a.home.Shelves) == page.Size {
			a.home.More = true
			break
		}
		a.shelf(p, i)
	}
	if a.home.More {
		a.home.AsOf = make(map[string]time.Time, len(a.cells))
		for name, p := range c.shelves {
			if cell := a.cells[p.index]; !cell.AsOf.IsZero() {
				a.home.AsOf[name] = cell.AsOf
			}
		}
		for hash := range page.Shown {
			a.home.Shown = append(a.home.Shown, hash)
		}
		for hash := range a.above.all {
			a.home.Shown = append(a.home.Shown, uint32(hash))
		}
	}
	return &a.home
}

// ArrangeShelf is one declared shelf by itself, placed or not, and whoever it is for.
func (a *Arranger) ArrangeShelf(c *Config, name string, src Source, v Viewer, page Page) *Home {
	a.begin(c, src, v, page)
	p := c.shelves[name]
	a.shelf(p, max(slices.Index(c.places, p), 0))
	return &a.home
}

// begin forgets the Home before.
func (a *Arranger) begin(c *Config, src Source, v Viewer, page Page) {
	a.viewer, a.page, a.made, a.stale, a.hidden = v, page, src.Made, src.Stale, HiddenOf(src.Row)
	a.home = Home{Shelves: a.home.Shelves[:0]}
	a.cells = slices.Grow(a.cells[:0], len(c.shelves))[:len(c.shelves)]
	clear(a.cells)
	a.above.clear()
	a.kept.cards, a.kept.meta, a.texts = 0, 0, a.texts[:0]
	a.giveBack()
	a.sort(c, src)
}

// sort picks the cell of each shelf: of the generation that the page pins, else the newest. Cells of variants and of
// shelves that are gone are passed over.
func (a *Arranger) sort(c *Config, src Source) {
	pins := len(a.page.AsOf) > 0
	add := func(row store.Row, scope shelf.Scope) {
		for _, cell := range row.Cells {
			p := c.shelves[cell.Shelf]
			if p == nil || p.shelf.Scope != scope || a.page.Broken[cell.Shelf] {
				continue
			}
			have := &a.cells[p.index]
			ok := !have.AsOf.IsZero()
			if !ok { // the newest comes first
				*have = cell
			}
			if !pins {
				continue
			}
			if pin, pinned := a.page.AsOf[cell.Shelf]; pinned {
				a.home.Newer = a.home.Newer || cell.AsOf.After(pin)
				if ok && cell.AsOf.Equal(pin) && !have.AsOf.Equal(pin) {
					*have = cell
				}
			}
		}
	}
	add(src.Row, shelf.Listener)
	for _, row := range src.Markets {
		add(row, shelf.Market)
	}
}

func (a *Arranger) until(t time.Time) {
	if !t.IsZero() && (a.home.Until.IsZero() || t.Before(a.home.Until)) {
		a.home.Until = t
	}
}

// shelf goes down the ladder for one place, and adds what it comes to.
func (a *Arranger) shelf(p *place, at int) {
	listener := p.shelf.Scope == shelf.Listener
	cell := a.cells[p.index]
	if a.taking = p; a.taker == nil {
		a.taker = func(body []byte) (int, error) { return a.take(a.taking, body) }
	}
	rungs := Rungs{
		Now: a.viewer.Now, Newest: cell, Made: a.made && listener, Stale: a.stale && listener,
		GoodFor: p.guard.GoodFor, MaxAge: time.Duration(p.MaxAgeSeconds) * time.Second,
		Default: p.defaults, MinCards: p.MinCards,
		Take: a.taker,
	}
	if a.page.First > 0 { // the rest of a rung, and no step down from it
		rungs.MinCards = 1
		if _, ofRow := a.page.AsOf[p.Shelf]; ofRow {
			rungs.Default = nil
		} else {
			rungs.Newest = store.Cell{}
		}
	}
	rung := Ladder(rungs)
	a.home.Shelves = append(a.home.Shelves, Shelf{Name: p.Shelf, Rung: rung, Place: at, First: a.page.First, place: p})
	s := &a.home.Shelves[len(a.home.Shelves)-1]
	if rung.Status != shelfpb.Status_LEFT_OUT {
		a.keep(s)
		if limit := a.page.Cards; limit > 0 && len(s.Cards) > limit {
			s.More = len(s.Cards) - limit
			s.Cards = s.Cards[:limit]
			s.Passed = slices.Clone(a.repeats)
			for _, card := range s.Cards {
				s.Passed = append(s.Passed, Hash(card.URI))
			}
		}
	}
	a.ages(rung, p)
	a.title(s)
}

// title is the one that names something, if the cell says what, else the plain one.
func (a *Arranger) title(s *Shelf) {
	t := s.place.titlesFor(a.viewer.Locale)
	if s.Title = t.plain; s.Rung.AsOf.IsZero() {
		return
	}
	begin := len(a.texts)
	texts, ok := t.title.Append(a.texts, func(name string) ([]byte, bool) { return homewire.TitleArg(s.meta, name) })
	if ok {
		a.texts, s.Title = texts, slices.Clip(texts[begin:])
	}
}

// ages notes when the rung changes by itself.
func (a *Arranger) ages(r Rung, p *place) {
	switch r.Status {
	case shelfpb.Status_FRESH:
		a.until(r.AsOf.Add(p.guard.GoodFor + 1))
	case shelfpb.Status_LAST_GOOD:
		a.until(a.viewer.Now.Add(time.Second)) // its age is shown in seconds
	}
	if p.MaxAgeSeconds > 0 && !r.AsOf.IsZero() {
		a.until(r.AsOf.Add(time.Duration(p.MaxAgeSeconds)*time.Second + 1))
	}
}

// take collects the cards of the pins and the body that the place may show. The ladder may try another body after
// it, so it first gives back what the last try took.
func (a *Arranger) take(p *place, body []byte) (int, error) {
	a.giveBack()
	a.parts.Cards = append(a.parts.Cards, p.pins...)
	if err := a.parts.Add(body); err != nil {
		return 0, err
	}
	found := a.parts.Cards[a.kept.cards:]
	most := len(found)
	if p.MaxCards > 0 {
		most = min(most, p.MaxCards-a.page.First)
	}
	taken := 0
	for i := 0; i < len(found) && taken < most; i++ {
		if !a.may(p, &found[i]) {
			continue
		}
		if i > taken {
			found[taken] = found[i]
		}
		taken++
	}
	a.parts.Cards = a.parts.Cards[:a.kept.cards+taken]
	return taken, nil
}

func (a *Arranger) may(p *place, card *homewire.Card) bool {
	if len(p.blocks) > 0 && p.blocks[string(card.URI)] || a.hidden.Len() > 0 && a.hidden.URI(card.URI) {
		return false
	}
	if p.artists || a.hidden.artists {
		if artist := card.Artist(); artist != nil && (p.blocks[string(artist)] || a.hidden.URI(artist)) {
			return false
		}
	}
	hash := card.Hash
	above := a.above.has(hash)
	shown := len(a.page.Shown) > 0 && a.page.Shown[uint32(hash)]
	if (above || shown) && !p.mayRepeat || shown && a.page.First > 0 {
		a.repeats = append(a.repeats, uint32(hash))
		return false
	}
	bit := uint64(1) << (hash & 63)
	if a.bits&bit != 0 && slices.Contains(a.mine, hash) { // no shelf has a card twice, whatever it may repeat
		return false
	}
	a.mine, a.bits = append(a.mine, hash), a.bits|bit
	return true
}

// giveBack forgets the cards of the last take.
func (a *Arranger) giveBack() {
	a.mine, a.bits, a.repeats = a.mine[:0], 0, a.repeats[:0]
	a.parts.Cards, a.parts.Meta = a.parts.Cards[:a.kept.cards], a.parts.Meta[:a.kept.meta]
}

// keep makes the cards of the last take those of the shelf.
func (a *Arranger) keep(s *Shelf) {
	for _, hash := range a.mine {
		a.above.add(hash)
	}
	a.mine, a.bits = a.mine[:0], 0
	parts := &a.parts
	s.Cards, s.meta, s.trigger = slices.Clip(parts.Cards[a.kept.cards:]), slices.Clip(parts.Meta[a.kept.meta:]), parts.Trigger
	a.kept.cards, a.kept.meta = len(parts.Cards), len(parts.Meta)
}
