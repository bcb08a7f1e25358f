package store_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"homefeed/shelves/store"
)

func TestKeysMadeHereAreGood(t *testing.T) {
	for _, user := range []string{"a", "bob", "Bob.B_ob-7", strings.Repeat("x", 64)} {
		key, err := store.UserKey(user)
		if err != nil {
			t.Fatalf("UserKey(%q): %v", user, err)
		}
		if err := store.CheckKey(key); err != nil {
			t.Errorf("CheckKey(%q): %v", key, err)
		}
	}
	for _, market := range []string{"DE", "001"} {
		key, err := store.MarketKey(market)
		if err != nil {
			t.Fatalf("MarketKey(%q): %v", market, err)
		}
		if err := store.CheckKey(key); err != nil {
			t.Errorf("CheckKey(%q): %v", key, err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	for _, user := range []string{"", "a/b", "a#b", "é", "a\x00b", strings.Repeat("x", 65)} {
		if key, err := store.UserKey(user); err == nil {
			t.Errorf("UserKey(%q) = %q, want an error", user, key)
		}
	}
	for _, market := range []string{"", "DEUT", "#"} {
		if key, err := store.MarketKey(market); err == nil {
			t.Errorf("MarketKey(%q) = %q, want an error", market, key)
		}
	}
	for _, key := range []store.Key{"", "u#", "bob", "u#0000#bob", "u#81b6#", "u#81b6bob", "u#81B6#bob", "m#", "m#DEUT", "m#a#b", "x#bob"} {
		if store.CheckKey(key) == nil {
			t.Errorf("CheckKey(%q) = nil, want an error", key)
		}
	}
}

// FuzzCheckKey holds that CheckKey accepts exactly what the constructors make, and never panics.
func FuzzCheckKey(f *testing.F) {
	f.Add("u#81b6#bob")
	f.Add("m#001")
	f.Add("u#")
	f.Fuzz(func(t *testing.T, s string) {
		ok := store.CheckKey(store.Key(s)) == nil
		var made bool
		if len(s) > 7 && strings.HasPrefix(s, "u#") {
			k, err := store.UserKey(s[7:])
			made = err == nil && string(k) == s
		} else if strings.HasPrefix(s, "m#") {
			_, err := store.MarketKey(s[2:])
			made = err == nil
		}
		if ok != made {
			t.Errorf("CheckKey(%q) accepts: %v, a constructor makes it: %v", s, ok, made)
		}
	})
}

func TestCheckWriteNamesTheField(t *testing.T) {
	key, err := store.UserKey("bob")
	if err != nil {
		t.Fatal(err)
	}
	good := store.Cell{Shelf: "discover~b.2", AsOf: time.UnixMilli(1700000000123), Data: make([]byte, store.MaxCell)}
	if err := store.CheckWrite(key, []store.Cell{good}); err != nil {
		t.Fatalf("a good cell is refused: %v", err)
	}
	tests := []struct {
		name   string
		change func(*store.Cell)
		want   string
	}{
		{"no shelf", func(c *store.Cell) { c.Shelf = "" }, "cells[1].shelf"},
		{"capital", func(c *store.Cell) { c.Shelf = "Discover" }, "cells[1].shelf"},
		{"empty variant", func(c *store.Cell) { c.Shelf = "discover~" }, "cells[1].shelf"},
		{"bad variant", func(c *store.Cell) { c.Shelf = "discover~a~b" }, "cells[1].shelf"},
		{"long", func(c *store.Cell) { c.Shelf = strings.Repeat("s", 97) }, "cells[1].shelf"},
		{"no as-of", func(c *store.Cell) { c.AsOf = time.Time{} }, "cells[1].asOf"},
		{"far as-of", func(c *store.Cell) { c.AsOf = time.UnixMilli(1 << 60) }, "cells[1].asOf"},
		{"microseconds", func(c *store.Cell) { c.AsOf = c.AsOf.Add(time.Microsecond) }, "cells[1].asOf"},
		{"large", func(c *store.Cell) { c.Data = append(bytes.Clone(c.Data), 0) }, "cells[1].data"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := good
			tt.change(&bad)
			err := store.CheckWrite(key, []store.Cell{good, bad})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error about %s", err, tt.want)
			}
		})
	}
	if err := store.CheckWrite(key, make([]store.Cell, store.MaxCells+1)); err == nil || !strings.Contains(err.Error(), "cells:") {
		t.Errorf("too many cells: got %v, want an error about cells", err)
	}
}
