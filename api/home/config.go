// Package home makes Home out of rows and placements: which shelves, which rung of the fallback ladder each stands
// on, which of its cards are shown, and all of it as bytes. It reads no store and no clock, so the same rows, document
// and viewer give the same Home: live, on a later page and in an editor's preview.
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"

	"homefeed/api/homewire"
	"homefeed/api/placement"
	"homefeed/api/title"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// Config is a document of placements made ready for serving. It never changes.
type Config struct {
	// Version tells documents apart: the same document has the same version in every process.
	Version string
	places  []*place
	shelves map[string]*place // every declared shelf, placed or not
	markets bool
}

// place is a Placement made ready for serving.
type place struct {
	placement.Placement
	index     int // among all declared shelves
	shelf     *shelf.Shelf
	guard     shelf.Guard
	titles    map[string]titles // by locale; "" has the ones for everybody else
	component shelfpb.Component
	mayRepeat bool
	blocks    map[string]bool
	artists   bool            // an artist is among blocks
	pins      []homewire.Card // encoded
	defaults  []byte          // an encoded shelfpb.Shelf
}

type titles struct {
	title title.Template
	plain []byte
}

// NewConfig checks the document against the shelves; one without shelves means placement.Default. The error names
// every field that is wrong.
func NewConfig(p placement.Placements, shelves []*shelf.Shelf) (*Config, error) {
	if len(p.Shelves) == 0 {
		p = placement.Default(shelves)
	}
	if err := p.Validate(shelves); err != nil {
		return nil, fmt.Errorf("placements: %w", err)
	}
	document, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("placements: %w", err)
	}
	sum := sha256.Sum256(document)
	c := &Config{Version: hex.EncodeToString(sum[:8]), shelves: make(map[string]*place, len(shelves))}
	for i, s := range shelves {
		if c.shelves[s.Name], err = newPlace(placement.Placement{Shelf: s.Name}, s, i); err != nil {
			return nil, err
		}
	}
	for i, one := range p.Shelves {
		declared := c.shelves[one.Shelf]
		pl, err := newPlace(one, declared.shelf, declared.index)
		if err != nil {
			return nil, fmt.Errorf("placements: shelves[%d].%w", i, err)
		}
		c.shelves[one.Shelf] = pl
		c.places = append(c.places, pl)
		c.markets = c.markets || pl.shelf.Scope == shelf.Market
	}
	return c, nil
}

// Markets reports whether Home has a shelf of a market.
func (c *Config) Markets() bool { return c.markets }

// Shelf is the declaration of a shelf; nil when there is none of the name.
func (c *Config) Shelf(name string) *shelf.Shelf {
	if p := c.shelves[name]; p != nil {
		return p.shelf
	}
	return nil
}

// Listeners lists the placed shelves that belong to a listener, from top to bottom.
func (c *Config) Listeners() []string {
	var names []string
	for _, p := range c.places {
		if p.shelf.Scope == shelf.Listener {
			names = append(names, p.Shelf)
		}
	}
	return names
}

func newPlace(p placement.Placement, s *shelf.Shelf, index int) (*place, error) {
	pl := &place{
		Placement: p, index: index, shelf: s, guard: s.Guard.WithDefaults(), component: p.Component.Proto(),
		mayRepeat: p.Repeat == placement.RepeatAllowed || p.Repeat == "" && s.Recalls,
		titles:    map[string]titles{}, blocks: make(map[string]bool, len(p.Blocks)),
	}
	pl.MinCards = max(p.MinCards, 1)
	pl.setTitles()
	for _, uri := range p.Blocks {
		pl.blocks[uri] = true
		pl.artists = pl.artists || strings.HasPrefix(uri, "artist:")
	}
	for i, c := range p.Pins {
		raw, err := proto.Marshal(complete(c))
		if err != nil {
			return nil, fmt.Errorf("pins[%d]: want texts in UTF-8: %w", i, err)
		}
		pl.pins = append(pl.pins, homewire.Card{Raw: raw, URI: []byte(c.GetUri()), Hash: homewire.HashURI([]byte(c.GetUri()))})
	}
	defaults := new(shelfpb.Shelf)
	for _, c := range p.DefaultCards {
		defaults.Cards = append(defaults.Cards, complete(c))
	}
	var err error
	if pl.defaults, err = proto.Marshal(defaults); err != nil {
		return nil, fmt.Errorf("defaultCards: want texts in UTF-8: %w", err)
	}
	return pl, nil
}

// complete is an editor's card with the action that its URI suggests.
func complete(c *shelfpb.Card) *shelfpb.Card {
	c = proto.CloneOf(c)
	if c.Action == shelfpb.Action_ACTION_UNSPECIFIED {
		c.Action = shelfpb.Action_OPEN
		if strings.HasPrefix(c.Uri, "track:") {
			c.Action = shelfpb.Action_PLAY
		}
	}
	return c
}

func (p *place) setTitles() {
	text := p.Title
	if text == "" {
		text = p.shelf.Title
	}
	if text == "" {
		text = inWords(p.Shelf)
	}
	everybody := newTitles(text, p.PlainTitle, inWords(p.Shelf))
	p.titles[""] = everybody
	for locale, text := range p.Titles {
		p.titles[locale] = newTitles(text, p.PlainTitles[locale], string(everybody.plain))
	}
	for locale, plain := range p.PlainTitles {
		if _, both := p.titles[locale]; !both {
			p.titles[locale] = titles{everybody.title, []byte(plain)}
		}
	}
}

// newTitles takes as the plain title the one given, else the text if it mentions nothing, else otherwise.
func newTitles(text, plain, otherwise string) titles {
	parsed := title.Parse(text)
	switch {
	case plain != "":
	case parsed.Mentions():
		plain = otherwise
	default:
		plain = text
	}
	return titles{parsed, []byte(plain)}
}

// titlesFor are the locale's: of "sv-SE", else of "sv", else everybody's.
func (p *place) titlesFor(locale string) titles {
	for {
		if t, ok := p.titles[locale]; ok {
			return t
		}
		locale = locale[:max(strings.LastIndexByte(locale, '-'), 0)]
	}
}

// shows reports whether the shelf is there for the viewer at all.
func (p *place) shows(v *Viewer) bool {
	switch {
	case len(p.Markets) > 0 && !slices.Contains(p.Markets, v.Market),
		len(p.Platforms) > 0 && !slices.Contains(p.Platforms, v.Platform),
		!p.From.IsZero() && v.Now.Before(p.From),
		!p.To.IsZero() && !v.Now.Before(p.To):
		return false
	}
	return p.AudiencePercent == 0 || bucket(p.Shelf, v.User) < p.AudiencePercent
}

// bucket is where a listener stands among a shelf's hundred buckets, for good.
func bucket(shelf, user string) int { return int(xxhash.Sum64String(shelf+"\x00"+user) % 100) }

// turns is the next time after now at which the shelf appears or goes, zero when there is none.
func (p *place) turns(now time.Time) time.Time {
	switch {
	case now.Before(p.From):
		return p.From
	case now.Before(p.To):
		return p.To
	}
	return time.Time{}
}

// inWords makes "more_like_artist" into "More like artist".
func inWords(name string) string {
	words := strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	if words == "" {
		return name
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
