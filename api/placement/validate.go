package placement

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"homefeed/pipeline/event"
	"homefeed/shelves/shelf"
)

// The bounds of a document: it is held in memory by every API and sent whole to every editor.
const (
	MaxTitle   = 200  // bytes
	MaxLocales = 200  // titles of one placement
	MaxPins    = 20   // of one placement
	MaxBlocks  = 1000 // of one placement
)

// FieldError is one mistake in a document.
type FieldError struct {
	Field string // where: shelves[2].minCards
	Want  string // what would be right
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Want }

// Validate checks the document against the shelves that there are. Its error joins a *FieldError for every mistake.
func (p *Placements) Validate(shelves []*shelf.Shelf) error {
	declared := make(map[string]*shelf.Shelf, len(shelves))
	for _, s := range shelves {
		declared[s.Name] = s
	}
	var mistakes []error
	placed := make(map[string]bool, len(p.Shelves))
	for i := range p.Shelves {
		one := &p.Shelves[i]
		c := check{at: fmt.Sprintf("shelves[%d].", i)}
		switch s := declared[one.Shelf]; {
		case s == nil:
			c.bad("shelf", "want the name of a shelf, have %q", one.Shelf)
		case placed[one.Shelf]:
			c.bad("shelf", "%q has a place already", one.Shelf)
		default:
			c.placement(one, s.Guard.WithDefaults().MaxCards)
		}
		placed[one.Shelf] = true
		mistakes = append(mistakes, c.mistakes...)
	}
	return errors.Join(mistakes...)
}

// check collects the mistakes of one placement.
type check struct {
	at       string
	mistakes []error
}

func (c *check) bad(field, want string, args ...any) {
	c.mistakes = append(c.mistakes, &FieldError{Field: c.at + field, Want: fmt.Sprintf(want, args...)})
}

func (c *check) placement(p *Placement, most int) {
	c.title("title", p.Title)
	c.title("plainTitle", p.PlainTitle)
	c.titles("titles", p.Titles)
	c.titles("plainTitles", p.PlainTitles)
	switch p.Component {
	case "", Carousel, Grid, List, Hero:
	default:
		c.bad("component", "want carousel, grid, list or hero, have %q", p.Component)
	}
	switch p.Repeat {
	case "", RepeatAllowed, RepeatNever:
	default:
		c.bad("repeat", "want allowed or never, have %q", p.Repeat)
	}
	for i, m := range p.Markets {
		if !event.ValidMarket(m) {
			c.bad(fmt.Sprintf("markets[%d]", i), "want an ISO 3166-1 alpha-2 code in capitals, have %q", m)
		}
	}
	for i, name := range p.Platforms {
		if !ValidPlatform(name) {
			c.bad(fmt.Sprintf("platforms[%d]", i), "want 1–20 of a–z, 0–9 and _, have %q", name)
		}
	}
	if p.AudiencePercent < 0 || p.AudiencePercent > 100 {
		c.bad("audiencePercent", "want 0 to 100; 0 means all")
	}
	c.schedule(p)
	c.counts(p, most)
	c.cards("pins", p.Pins, MaxPins)
	c.cards("defaultCards", p.DefaultCards, shelf.MaxMaxCards)
	if len(p.Blocks) > MaxBlocks {
		c.bad("blocks", "want at most %d", MaxBlocks)
		return
	}
	for i, uri := range p.Blocks {
		if !ValidURI(uri) {
			c.bad(fmt.Sprintf("blocks[%d]", i), "want track:<id> or artist:<id>, have %q", uri)
		}
	}
}

func (c *check) title(field, text string) {
	if len(text) > MaxTitle || !utf8.ValidString(text) {
		c.bad(field, "want at most %d bytes of UTF-8", MaxTitle)
	}
}

func (c *check) titles(field string, byLocale map[string]string) {
	if len(byLocale) > MaxLocales {
		c.bad(field, "want at most %d locales", MaxLocales)
		return
	}
	for locale, text := range byLocale {
		if !ValidLocale(locale) {
			c.bad(field, "want locales such as sv or pt-BR, have %q", locale)
		} else if text == "" {
			c.bad(field+"."+locale, "want a title, or no entry for the locale")
		}
		c.title(field+"."+locale, text)
	}
}

func (c *check) schedule(p *Placement) {
	if !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) {
		c.bad("to", "want a time after from, %s", p.From.Format(time.RFC3339))
	}
}

func (c *check) counts(p *Placement, most int) {
	if p.MinCards < 0 || p.MinCards > most {
		c.bad("minCards", "want 0 to %d, the most that the shelf ever has", most)
	}
	switch {
	case p.MaxCards < 0 || p.MaxCards > shelf.MaxMaxCards:
		c.bad("maxCards", "want 0 to %d; 0 means all", shelf.MaxMaxCards)
	case p.MaxCards > 0 && p.MaxCards < p.MinCards:
		c.bad("maxCards", "want at least minCards, %d", p.MinCards)
	case p.MaxCards > 0 && p.MaxCards < len(p.Pins):
		c.bad("maxCards", "want room for the %d pins", len(p.Pins))
	}
	if p.MaxAgeSeconds < 0 || p.MaxAgeSeconds > maxAgeSeconds {
		c.bad("maxAgeSeconds", "want 0 to %d; 0 means any age", maxAgeSeconds)
	}
}

// maxAgeSeconds is ten years, which fits a time.Duration.
const maxAgeSeconds = 10 * 366 * 24 * 3600

func (c *check) cards(field string, cards Cards, most int) {
	if len(cards) > most {
		c.bad(field, "want at most %d", most)
		return
	}
	seen := map[string]bool{}
	for i, card := range cards {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case card.GetTitle() == "":
			c.bad(at, "want a uri and a title")
		case !ValidURI(card.GetUri()):
			c.bad(at+".uri", "want track:<id> or artist:<id>, have %q", card.GetUri())
		case seen[card.GetUri()]:
			c.bad(at+".uri", "%s is there already", card.GetUri())
		}
		seen[card.GetUri()] = true
	}
}

// ValidURI reports whether uri names a track or an artist.
func ValidURI(uri string) bool {
	kind, id, _ := strings.Cut(uri, ":")
	return (kind == "track" || kind == "artist") && event.ValidObject(id)
}

// ValidPlatform reports whether name may be a platform's: 1–20 of a–z, 0–9 and _.
func ValidPlatform(name string) bool {
	if name == "" || len(name) > 20 {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// ValidLocale reports whether tag has the form of a BCP 47 language tag: a language in lower case, then subtags.
func ValidLocale(tag string) bool {
	language, _, _ := strings.Cut(tag, "-")
	if n := len(language); n < 2 || n > 3 || len(tag) > 35 {
		return false
	}
	first := true
	for part := range strings.SplitSeq(tag, "-") {
		if len(part) == 0 || len(part) > 8 {
			return false
		}
		for _, c := range part {
			lower, other := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
			if !lower && (first || !other) {
				return false
			}
		}
		first = false
	}
	return true
}
