package refresh_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
)

func TestRunGivesUpAfterFiveAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		uncounted bool
		fill      func(context.Context, *shelf.Request) ([]shelf.Card, error)
		want      string
	}{
		"error": {false, func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, errAway },
			"shelf broken failed in attempt 5: error: away"},
		"panic on a bus that does not count": {true, func(context.Context, *shelf.Request) ([]shelf.Card, error) { panic("oh dear") },
			"shelf broken failed in attempt 5: panic: panic: oh dear"},
		"timeout": {false, func(ctx context.Context, _ *shelf.Request) ([]shelf.Card, error) { <-ctx.Done(); return nil, ctx.Err() },
			"shelf broken failed in attempt 5: timeout: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(filling("broken", c.fill))
				f.bus.uncounted = c.uncounted
				stop := f.start(t)
				f.bus.publish(due("ann", 0, "broken", "recently_played"))
				synctest.Wait()
				if _, ok := f.row(t, "ann")["recently_played"]; name != "timeout" && !ok {
					t.Error("recently_played is not written though only the other shelf failed")
				}
				elapse(80 * time.Second) // 1 + 4 + 16 s and the timeouts are over, 64 s are not
				f.wantBus(t, 0, 1)
				elapse(20 * time.Second)
				f.wantBus(t, 1, 0, c.want)
				letter := f.bus.dead[0]
				if tr, err := trigger.Decode(letter.GetPayload()); err != nil || tr.User != "ann" || letter.GetAttempts() != 5 || letter.GetTopic() != trigger.Topic {
					t.Errorf("dead letter: %v, %v", letter, err)
				}
				if n := f.metric(t, "dead_letters_total"); n != 1 {
					t.Errorf("metric dead letters: %v, want 1", n)
				}
				stopped(t, stop)
			})
		})
	}
}

func TestRunRecoversWithinFiveAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 4
		f := newFixture(filling("shaky", func(context.Context, *shelf.Request) ([]shelf.Card, error) {
			if failures--; failures >= 0 {
				return nil, errAway
			}
			return oneCard, nil
		}))
		stop := f.start(t)
		f.bus.publish(due("ann", 0, "shaky"))
		elapse(time.Minute + 30*time.Second)
		f.wantBus(t, 1, 0)
		if len(f.row(t, "ann")) != 1 {
			t.Error("no row")
		}
		stopped(t, stop)
	})
}

func TestRunOfTriggersThatCanNotBeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		away := 1
		f.bus.onDead = func(context.Context) error { // the dead-letter topic is away at first
			if away--; away >= 0 {
				return errAway
			}
			return nil
		}
		stop := f.start(t)
		f.bus.publishRaw("junk", []byte("\xff\xffjunk"))
		synctest.Wait()
		f.wantBus(t, 0, 1)
		f.bus.publish(due("an/n", 0, "recently_played"), due("ann", 0, "recently_played"))
		synctest.Wait()
		f.wantBus(t, 2, 1, "bad trigger: row key: user")
		elapse(time.Minute)
		f.wantBus(t, 3, 0, "bad trigger: row key: user", "not a Trigger")
		if got := string(f.bus.dead[1].GetPayload()); got != "\xff\xffjunk" {
			t.Errorf("payload %q", got)
		}
		stopped(t, stop)
	})
}

func TestRunWaitsForTheStore(t *testing.T) {
	for name, spoil := range map[string]func(*fixture, func() error){
		"write": func(f *fixture, away func() error) { f.store.onWrite = func(context.Context) error { return away() } },
		"read":  func(f *fixture, away func() error) { f.store.onRead = away },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				back := time.Now().Add(10 * time.Minute)
				spoil(f, func() error {
					if time.Now().Before(back) {
						return errAway
					}
					return nil
				})
				stop := f.start(t)
				for i := range 40 {
					f.bus.publish(due(fmt.Sprintf("user%d", i), 0, "recently_played"))
				}
				elapse(10*time.Minute - time.Second)
				f.wantBus(t, 0, 40)
				elapse(2 * time.Minute)
				f.wantBus(t, 40, 0)
				for i := range 40 {
					if len(f.row(t, fmt.Sprintf("user%d", i))) != 1 {
						t.Errorf("user%d has no row", i)
					}
				}
				stopped(t, stop)
			})
		})
	}
}

func TestRunTriesAgainWhileTheStoreIsAwayForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		failures := 3
		f.store.onWrite = countdown(&failures)
		stop := f.start(t)
		f.bus.publish(due("ann", 0, "recently_played"))
		elapse(5 * time.Second)
		f.wantBus(t, 1, 0)
		if f.bus.nacked != 0 {
			t.Error("the trigger was put back, want it kept")
		}
		stopped(t, stop)
	})
}
