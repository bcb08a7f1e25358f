package local_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A history that is sent in batches, with the log empty in between, comes to the same rows as one that waits whole.
func TestHistorySentInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := start(t, w.config(t))
		for batch := range slices.Chunk(makeEvents(rand.New(rand.NewPCG(1, 3)), 700, 10, time.Minute), 70) {
			if err := w.log.Append(batch...); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second) // of the bubble's clock
		}
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		check(t, w, true)
	})
}
