//go:build !race

package sgns_test

import "testing"

// Threads that write to the same vectors are a data race on purpose, so the race detector has to leave this out.
func TestThreadsLearnAsWell(t *testing.T) {
	cfg := quick()
	one, popular := hitRates(t, byGenre(1_000, 2), cfg, 4)
	cfg.Threads = 4
	four, _ := hitRates(t, byGenre(1_000, 2), cfg, 4)
	t.Logf("HR@10 with one thread %.3f, with four %.3f, popularity %.3f", one, four, popular)
	if four < .9*one {
		t.Errorf("HR@10 with one thread %.3f, with four %.3f", one, four)
	}
}
