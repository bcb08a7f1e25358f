// Package names makes up what artists, tracks and listeners are called.
package names

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Genres are all that there are, in a ring: neighbours have something in common.
func Genres() []Genre { return genres[:] }

// Band reports whether the artists of the genre are bands, which may have a "The" before their names.
func (g *Genre) Band() bool { return g.form == band }

// Artist makes up what an artist of the genre is called.
func (g *Genre) Artist(r *rand.Rand) string {
	switch g.form {
	case soloist:
		return syllables(r) + " " + syllables(r)
	case coined:
		if r.IntN(4) == 0 {
			return syllables(r) + " & " + syllables(r)
		}
		return one(r, starts) + one(r, middle) + one(r, middle) + one(r, ends)
	case ensemble:
		return syllables(r) + " " + one(r, g.last)
	}
	return one(r, g.first) + " " + one(r, g.last)
}

func syllables(r *rand.Rand) string {
	return one(r, starts) + one(r, middle) + one(r, ends)
}

// Title makes up what a track of the genre is called.
func (g *Genre) Title(r *rand.Rand) string {
	templates := strings.Split(g.titles, "|")
	n, m := one(r, g.nouns), one(r, g.nouns)
	for m == n {
		m = one(r, g.nouns)
	}
	return strings.NewReplacer("{a}", one(r, g.adjectives), "{n}", n, "{m}", m, "{k}", one(r, keys),
		"{i}", strconv.Itoa(1+r.IntN(9))).Replace(templates[r.IntN(len(templates))])
}

// one is one of the words, in which hyphens stand for blanks.
func one(r *rand.Rand, words string) string {
	all := strings.Fields(words)
	return strings.ReplaceAll(all[r.IntN(len(all))], "-", " ")
}

// Slug is the name in a–z, 0–9 and single hyphens: for the plain letters that names here are made of, the slug that
// package catalog makes an artist's id of.
func Slug(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "'", "")
	return strings.Join(strings.FieldsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}), "-")
}

// Listeners are first names, each once.
func Listeners() []string { return strings.Fields(listeners) }
