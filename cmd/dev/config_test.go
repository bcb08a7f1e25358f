package main

import (
	"strings"
	"testing"
)

// TestMemory holds which budgets are taken, and that none is the default one.
func TestMemory(t *testing.T) {
	for flag, want := range map[string]int{"": defaultMemory, "-memory=0": defaultMemory, "-memory=64": 64, "-memory=63": -1, "-memory=-1": -1} {
		var out strings.Builder
		c, err := parse(strings.Fields(flag), &out)
		switch {
		case want < 0 && (err == nil || !strings.Contains(out.String(), "want MiB")):
			t.Errorf("%s: error %v, and %q was said; want what would be right", flag, err, out.String())
		case want >= 0 && (err != nil || c.Memory != want):
			t.Errorf("%q: memory %d, error %v; want %d", flag, c.Memory, err, want)
		}
	}
}
