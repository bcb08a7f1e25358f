//go:build !race

package sgns_test

import (
	"fmt"
	"testing"
)

// Threads that write to the same vectors are a data race on purpose, so the race detector has to leave this out. With
// many tracks each thread draws its random ones from a share of them.
func TestThreadsLearnAsWell(t *testing.T) {
	for _, worlds := range []int{1, 20} {
		t.Run(fmt.Sprintf("%d tracks", worlds*genres*tracksOfGenre), func(t *testing.T) {
			var playlists [][]string
			for world := range worlds {
				for _, p := range byGenre(1_000, uint64(2+world)) {
					for i := range p {
						p[i] = fmt.Sprintf("w%d-%s", world, p[i])
					}
					playlists = append(playlists, p)
				}
			}
			cfg := quick()
			one, popular := hitRates(t, playlists, cfg, 4*worlds)
			cfg.Threads = 4
			four, _ := hitRates(t, playlists, cfg, 4*worlds)
			t.Logf("HR@10 with one thread %.3f, with four %.3f, popularity %.3f", one, four, popular)
			if four < .9*one {
				t.Errorf("HR@10 with one thread %.3f, with four %.3f", one, four)
			}
		})
	}
}
