package home

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHashes holds the set against a map, over uses one after another.
func TestHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set hashes
		for range 2 {
			set.clear()
			want := map[uint64]bool{}
			for _, hash := range rapid.SliceOfN(rapid.Uint64Range(0, 2000), 0, 1500).Draw(t, "hashes") {
				hash *= rapid.SampledFrom([]uint64{1, 1 << 20}).Draw(t, "spread") // alike in their low bits
				set.add(hash)
				want[hash] = true
				if !set.has(hash) {
					t.Fatalf("%d was added and isn't there", hash)
				}
			}
			for hash := range uint64(2000) {
				if set.has(hash) != want[hash] {
					t.Fatalf("%d: %v, want %v", hash, set.has(hash), want[hash])
				}
			}
			if got := slices.Sorted(set.all); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Fatalf("%d hashes, want %d", len(got), len(want))
			}
		}
	})
}
