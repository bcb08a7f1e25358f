package shelf

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// World is the market of everywhere (the UN M49 code).
const World = "001"

// Tracks is what the catalogue knows of the ids, in their order; unknown ids and repeats are left out.
func (r *Request) Tracks(ctx context.Context, ids ...string) ([]*Track, error) {
	known, err := r.Catalog.Tracks(ctx, ids...)
	if err != nil {
		return nil, err
	}
	tracks := make([]*Track, 0, len(known))
	for _, id := range ids {
		if t, ok := known[id]; ok {
			tracks = append(tracks, t)
			delete(known, id) // the map is this call's own
		}
	}
	return tracks, nil
}

// Validate says what keeps the card from being shown, naming the field and what would be right.
func (c *Card) Validate() error {
	kind, id, _ := strings.Cut(c.URI, ":")
	if (kind != "track" && kind != "artist") || !validID(id) {
		return fmt.Errorf("card %q: uri: want track:<id> or artist:<id>, the id 1–128 of A–Z a–z 0–9 . _ : -", c.URI)
	}
	if kind, id, _ := strings.Cut(c.Artist, ":"); c.Artist != "" && (kind != "artist" || !validID(id)) {
		return fmt.Errorf("card %q: artist: want artist:<id> or nothing, got %q", c.URI, c.Artist)
	}
	if c.Title == "" {
		return fmt.Errorf("card %q: title is empty", c.URI)
	}
	for _, text := range [...]string{c.Title, c.Subtitle, c.Reason, c.Image.Template, c.Image.Alt} {
		if !utf8.ValidString(text) {
			return c.notUTF8(text)
		}
	}
	for _, text := range c.Image.Colors {
		if !utf8.ValidString(text) {
			return c.notUTF8(text)
		}
	}
	return nil
}

func (c *Card) notUTF8(text string) error {
	return fmt.Errorf("card %q: want valid UTF-8, got %q", c.URI, text)
}

// validID reports whether s is an object's id as events carry it.
func validID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}
