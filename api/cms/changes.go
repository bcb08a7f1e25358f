package cms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"homefeed/api/placement"
)

// Change is one field of a document that differs.
type Change struct {
	Path string `json:"path"`           // such as "shelves[discover].minCards"
	From string `json:"from,omitempty"` // JSON; empty when there was nothing
	To   string `json:"to,omitempty"`   // JSON; empty when there is nothing any more
}

// Changes lists what differs between two documents, in the order of their fields' paths. Placements are told apart
// by their shelf, so that moving one is one change: of the order.
func Changes(from, to placement.Placements) ([]Change, error) {
	a, err := tree(from)
	if err != nil {
		return nil, err
	}
	b, err := tree(to)
	if err != nil {
		return nil, err
	}
	return compare(nil, "", a, b), nil
}

// tree is the document as JSON has it.
func tree(p placement.Placements) (any, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding placements: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var t any
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("decoding placements: %w", err)
	}
	return t, nil
}

func compare(changes []Change, path string, a, b any) []Change {
	if reflect.DeepEqual(a, b) {
		return changes
	}
	if ao, bo := asObject(a), asObject(b); ao != nil && bo != nil {
		for _, name := range union(slices.Sorted(maps.Keys(ao)), slices.Sorted(maps.Keys(bo))) {
			changes = compare(changes, strings.TrimPrefix(path+"."+name, "."), ao[name], bo[name])
		}
		return changes
	}
	al, aNamed := byShelf(a)
	bl, bNamed := byShelf(b)
	if !aNamed || !bNamed {
		return append(changes, Change{path, text(a), text(b)})
	}
	if was, is := common(al, bl), common(bl, al); !slices.Equal(was, is) {
		changes = append(changes, Change{path, text(was), text(is)})
	}
	for _, s := range union(names(al), names(bl)) {
		changes = compare(changes, path+"["+s+"]", find(al, s), find(bl, s))
	}
	return changes
}

func asObject(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}

// named is an element of a list whose elements say which shelf they are about.
type named struct {
	shelf string
	value any
}

// byShelf is false for a value that is no list of such elements, each shelf once.
func byShelf(v any) ([]named, bool) {
	list, ok := v.([]any)
	if v != nil && !ok {
		return nil, false
	}
	all := make([]named, len(list))
	for i, e := range list {
		s, _ := asObject(e)["shelf"].(string)
		if s == "" || find(all[:i], s) != nil {
			return nil, false
		}
		all[i] = named{s, e}
	}
	return all, true
}

func find(list []named, shelf string) any {
	for _, n := range list {
		if n.shelf == shelf {
			return n.value
		}
	}
	return nil
}

func names(list []named) []string {
	all := make([]string, len(list))
	for i, n := range list {
		all[i] = n.shelf
	}
	return all
}

// common is the names of a that b has too, in a's order.
func common(a, b []named) []string {
	return slices.DeleteFunc(names(a), func(s string) bool { return find(b, s) == nil })
}

// union keeps the order of a, and of what b has besides.
func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

func text(v any) string {
	if v == nil {
		return ""
	}
	data, err := json.Marshal(v)
	if err != nil { // unreachable: v came out of JSON
		return fmt.Sprint(v)
	}
	return string(data)
}
