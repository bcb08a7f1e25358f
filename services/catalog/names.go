package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"homefeed/pipeline/event"
)

// maxSlug is the most bytes of a slug. An id may have 128 (event.Event.Object), so there is room for a hash.
const maxSlug = 96

// fold is a name for comparing: compatible forms made equal, case folded, runs of blanks made one.
func fold(name string) string {
	return strings.Join(strings.Fields(cases.Fold().String(norm.NFKC.String(name))), " ")
}

// letters are those that no decomposition turns into plain ones.
var letters = strings.NewReplacer(
	"ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i",
	"'", "", "’", "", "‘", "", "`", "",
)

// slug is the name in a–z, 0–9 and single hyphens, at most maxSlug bytes; empty when nothing of it is left.
func slug(name string) string {
	var b strings.Builder
	gap := false
	for _, c := range norm.NFKD.String(letters.Replace(fold(name))) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(c)
		case unicode.Is(unicode.Mn, c): // an accent belongs to the letter before it
		default:
			gap = true
		}
		if b.Len() >= maxSlug {
			break
		}
	}
	s := b.String()
	return strings.TrimRight(s[:min(len(s), maxSlug)], "-")
}

// hashDigits is how much of a name's hash stands behind its slug: 48 bits, among the names of one slug.
const hashDigits = 12

// artistIDs gives each folded name an id: its slug, or the slug with a hash of the name, where several names share
// the slug, nothing is left of the name, or the slug could be taken for one with a hash. The ids depend on the set
// of names alone, not on its order.
func artistIDs(folded []string) []string {
	ids := make([]string, len(folded))
	holders := make(map[string]int, len(folded))
	for i, name := range folded {
		ids[i] = slug(name)
		holders[ids[i]]++
	}
	for i, id := range ids {
		switch {
		case id == "":
			ids[i] = withHash("artist", folded[i])
		case holders[id] > 1 || endsInHash(id):
			ids[i] = withHash(id, folded[i])
		}
	}
	return ids
}

func withHash(slug, name string) string {
	sum := sha256.Sum256([]byte(name))
	return slug + "-" + hex.EncodeToString(sum[:])[:hashDigits]
}

func endsInHash(slug string) bool {
	at := len(slug) - hashDigits
	return at > 0 && slug[at-1] == '-' && strings.Trim(slug[at:], "0123456789abcdef") == ""
}

// validID reports whether a track's id may travel in an event and stand in a path, which ids of dots alone may not.
func validID(id string) bool { return event.ValidObject(id) && strings.Trim(id, ".") != "" }
