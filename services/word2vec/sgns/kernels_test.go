package sgns

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"homefeed/services/word2vec/sgns/kernel"
)

// Both kernels, and negatives of each kind, must learn that tracks of one group are near each other.
func TestEveryWayLearns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var playlists [][]string
	for i := range 400 {
		var p []string
		for range 8 {
			p = append(p, fmt.Sprintf("%c%02d", "ab"[i%2], r.IntN(20)))
		}
		playlists = append(playlists, p)
	}
	for _, k := range []kernel.Kernel{kernel.Portable(), kernel.Best()} {
		for _, exact := range []bool{false, true} {
			cfg := Default()
			cfg.Dim, cfg.Epochs, cfg.Sample, cfg.Exact = 12, 20, 0, exact
			v, err := newVocabulary(corpusOf(t, playlists...), 1)
			if err != nil {
				t.Fatal(err)
			}
			tr := newTrainer(v, cfg, k)
			if err := tr.run(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			var same, other float32
			for i := range v.ids {
				for j := range v.ids[:i] {
					a, b := tr.in.Row(int32(i)), tr.in.Row(int32(j))
					dot := kernel.Dot(a, b) / 20
					if v.ids[i][0] == v.ids[j][0] {
						same += dot
					} else {
						other += dot
					}
				}
			}
			if !(same > 5*max(other, 1)) {
				t.Errorf("%s, exact %v: within groups %v, across %v", k.Name, exact, same, other)
			}
		}
	}
}
