package local_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/pipeline/pipelinetest"
)

// TestBacklogIsMerged: what is late already is published once a listener and not as often as it was due, and covers
// the same events; what happens now is published as it is due.
func TestBacklogIsMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		history := makeEvents(rand.New(rand.NewPCG(1, 1)), 5000, 10, time.Second)
		if err := w.log.Append(history...); err != nil {
			t.Fatal(err)
		}
		cfg := w.config(t)
		cfg.MergeAfter = 10 * time.Second
		stop := start(t, cfg)
		settle()
		listeners, _, err := w.publisher.Triggers()
		if err != nil {
			t.Fatal(err)
		}
		all := len(pipelinetest.Reference(w.log.Entries(), newPolicy(t), nil, time.Now(), time.Now()).Triggers)
		if merged := len(listeners); merged < 10 || merged > all/20 {
			t.Errorf("%d triggers of 10 listeners were published behind a backlog that made %d due", merged, all)
		}
		live := makeEvents(rand.New(rand.NewPCG(2, 2)), 50, 10, time.Second)
		for i := range live {
			live[i].ID = "live" + live[i].ID
		}
		<-feed(t, w, live)
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		check(t, w, false)
		listeners, _, err = w.publisher.Triggers()
		if err != nil {
			t.Fatal(err)
		}
		now := 0
		for _, tr := range listeners {
			if tr.FireTime.After(epoch.Add(24 * time.Hour)) {
				now++
			}
		}
		if want := pipelinetest.Reference(w.log.Entries()[len(history):], newPolicy(t), nil, time.Now(), time.Now()); now < len(want.Triggers)*9/10 {
			t.Errorf("%d triggers of what happened now, want about %d", now, len(want.Triggers))
		}
	})
}
