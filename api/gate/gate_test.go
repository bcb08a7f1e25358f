package gate_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/api/gate"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(2, time.Second)
		for range 2 {
			if !g.Enter(t.Context()) {
				t.Fatal("a free place is refused")
			}
		}
		waited := make(chan bool, 4)
		leaving, leave := context.WithCancel(t.Context())
		go func() { waited <- g.Enter(t.Context()) }()
		go func() { waited <- g.Enter(leaving) }()
		synctest.Wait()
		began := time.Now()
		if g.Enter(t.Context()) || time.Since(began) > 0 {
			t.Error("one more than may wait is not refused at once")
		}
		leave()
		if <-waited {
			t.Error("one who has left is let in")
		}
		g.Leave()
		if !<-waited || time.Since(began) > 0 {
			t.Error("who waits is not let in when a place is free")
		}
		if g.Enter(t.Context()) || time.Since(began) != time.Second {
			t.Errorf("waited %v in vain, want a second", time.Since(began))
		}
		for range 2 {
			g.Leave()
		}
		if !g.Enter(t.Context()) {
			t.Error("nobody is inside, and one is refused")
		}
	})
}
