// Package title fills in the titles that editors write, such as "More like {artist}".
package title

import "strings"

// Template is a title cut at its {names}: literal, name, literal, name, …, literal.
type Template []string

// Parse cuts a title. Every text is a title: a brace without its partner stands for itself.
func Parse(title string) Template {
	var t Template
	for {
		open := strings.IndexByte(title, '{')
		if open < 0 {
			return append(t, title)
		}
		end := strings.IndexByte(title[open:], '}')
		if end < 0 {
			return append(t, title)
		}
		t = append(t, title[:open], title[open+1:open+end])
		title = title[open+end+1:]
	}
}

// Mentions reports whether the title has any {name}.
func (t Template) Mentions() bool { return len(t) > 1 }

// Append appends the title, with the names replaced by what arg says; false, and dst as it was, when one is missing or
// empty.
func (t Template) Append(dst []byte, arg func(name string) ([]byte, bool)) (title []byte, ok bool) {
	title = dst
	for i, part := range t {
		if i%2 == 0 {
			title = append(title, part...)
			continue
		}
		value, ok := arg(part)
		if !ok || len(value) == 0 {
			return dst, false
		}
		title = append(title, value...)
	}
	return title, true
}
