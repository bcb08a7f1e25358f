package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// patience is how long anything may take that the test waits for. It takes seconds on a machine with nothing else to
// do, and up to a lease more when something was killed that held events.
const patience = 3 * time.Minute

// TestProduction is the production shape: every role and the Beam program as processes of their own, on Google's
// emulators of Pub/Sub and Bigtable. Listeners send events with tokens of their own and look at their Home. On the
// way the runner and the pipeline are killed in the middle of their work: what they held comes again when its lease
// has run out.
func TestProduction(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped because of -short: it builds two programs and runs six processes")
	}
	world := madeup.New(1, madeup.Sizes{Artists: 40, Tracks: 400, Playlists: 800, Listeners: 12})
	p := newProduction(t, world)
	p.startAll(t)

	now := time.Now().Truncate(time.Millisecond)
	history := slices.Collect(world.History(now.Add(-72*time.Hour), now))
	thirds := inThirds(history)

	t.Logf("a third of %d events, and nothing happens", len(history))
	p.post(t, thirds[0])
	p.awaitHomes(t)

	t.Log("another third while the catalogue is away, and the runner is killed with triggers that it can't do")
	p.processes["catalog"].Kill()
	p.post(t, thirds[1])
	p.awaitDecided(t)
	p.awaitMetric(t, "refresh", `homefeed_refresh_triggers_total{outcome="retried"}`)
	p.processes["refresh"].Kill()
	p.start(t, "catalog")
	p.awaitReady(t, "catalog")
	p.start(t, "refresh")
	p.awaitHomes(t)

	t.Log("the rest, and the pipeline is killed with events recorded and not yet in a trigger")
	half := len(thirds[2]) / 2
	p.post(t, thirds[2][:half])
	p.awaitAnyRecorded(t)
	p.processes["pipeline"].Kill()
	p.post(t, thirds[2][half:])
	p.start(t, "pipeline")
	p.awaitHomes(t)

	p.awaitRecorded(t)
	p.awaitDecided(t)
	p.checkNear(t)
	p.checkRefused(t)
	p.checkDeadLetters(t)
	p.checkMetrics(t)
	p.stopAll(t)
}

// inThirds cuts events at two moments.
func inThirds(events []event.Event) [3][]event.Event {
	n := len(events)
	return [3][]event.Event{events[:n/3], events[n/3 : 2*n/3], events[2*n/3:]}
}

// maxRecent is how many cards recently_played has at most.
const maxRecent = 30

// recentlyPlayed is what a listener's shelf has to show: the newest tracks, each once. That is all there is to it,
// and it uses nothing of the programs.
func recentlyPlayed(events []event.Event) []string {
	newest := slices.Clone(events)
	slices.SortStableFunc(newest, func(a, b event.Event) int { return b.Time.Compare(a.Time) })
	var tracks []string
	for _, e := range newest {
		if uri := "track:" + e.Object; e.Kind == event.Played && !slices.Contains(tracks, uri) && len(tracks) < maxRecent {
			tracks = append(tracks, uri)
		}
	}
	return tracks
}

// awaitHomes waits until every listener's Home shows everything that was posted.
func (p *production) awaitHomes(t *testing.T) {
	t.Helper()
	began := time.Now()
	for _, user := range p.listeners() {
		want := recentlyPlayed(p.events[user])
		await(t, "Home shows what the listener played last", func(ctx context.Context) error {
			home, err := p.home(ctx, user)
			if err != nil {
				return err
			}
			got := home.shelf("recently_played")
			if diff := gocmp.Diff(want, got.uris()); diff != "" {
				return fmt.Errorf("recently_played of %s (-want +got):\n%s", user, diff)
			}
			if len(want) > 0 && got.Status != "FRESH" {
				return fmt.Errorf("recently_played of %s is %s", user, got.Status)
			}
			return nil
		})
	}
	t.Logf("every Home is right after %v", time.Since(began).Round(time.Millisecond))
}

// awaitDecided waits until every play of every listener is in a trigger for recently_played.
func (p *production) awaitDecided(t *testing.T) {
	t.Helper()
	await(t, "each play is in a trigger", func(ctx context.Context) error {
		if err := p.watchTriggers(ctx); err != nil {
			return err
		}
		for user, events := range p.events {
			for _, d := range deeds(events, event.Played) {
				if !slices.ContainsFunc(p.decided[user], func(r stretch) bool { return r.first <= d.Millis && d.Millis <= r.last }) {
					return fmt.Errorf("the play of %s at %v is in none of %d triggers", user, time.UnixMilli(d.Millis), len(p.decided[user]))
				}
			}
		}
		return nil
	})
}

// stretch is a run of a listener's plays that one trigger covers, in milliseconds.
type stretch struct{ first, last int64 }

// watchTriggers notes which plays are in triggers, from a subscription of the test's own.
func (p *production) watchTriggers(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	deliveries, err := p.triggers.Pull(soon, 1000)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, d := range deliveries {
		one, err := trigger.Decode(d.Data)
		if err != nil {
			return err
		}
		for _, due := range one.Due {
			if due.Shelf == "recently_played" {
				p.decided[one.User] = append(p.decided[one.User], stretch{due.First.Time.UnixMilli(), due.Last.Time.UnixMilli()})
			}
		}
	}
	return p.triggers.Ack(ctx, deliveries...)
}

// awaitAnyRecorded waits until a play of the last post is known to the songs-played service.
func (p *production) awaitAnyRecorded(t *testing.T) {
	t.Helper()
	await(t, "a new play is recorded", func(ctx context.Context) error {
		for user, before := range p.before {
			recorded, err := p.recorded(ctx, user)
			if err != nil {
				return err
			}
			if len(recorded[event.Played]) > len(deeds(before, event.Played)) {
				return nil
			}
		}
		return errors.New("nothing is recorded")
	})
}

// awaitRecorded waits until every event is recorded, once, and nothing else is.
func (p *production) awaitRecorded(t *testing.T) {
	t.Helper()
	await(t, "everything posted is recorded", func(ctx context.Context) error {
		for _, user := range p.listeners() {
			got, err := p.recorded(ctx, user)
			if err != nil {
				return err
			}
			for _, kind := range event.Kinds {
				if diff := gocmp.Diff(deeds(p.events[user], kind), got[kind]); diff != "" {
					return fmt.Errorf("%s by %s (-posted +recorded):\n%s", kind, user, diff)
				}
			}
		}
		return nil
	})
}

// deed is an event as the songs-played service remembers it.
type deed struct {
	Object string
	Millis int64
}

// deeds are a listener's events of one kind, the newest first. Who follows or hearts again has done so the last time.
func deeds(events []event.Event, kind event.Kind) []deed {
	var all []deed
	for _, e := range events {
		if e.Kind == kind {
			all = append(all, deed{e.Object, e.Time.UnixMilli()})
		}
	}
	slices.SortFunc(all, newestFirst)
	if kind == event.Played {
		return all
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(d deed) bool {
		again := seen[d.Object]
		seen[d.Object] = true
		return again
	})
}

func newestFirst(a, b deed) int {
	return cmp.Or(cmp.Compare(b.Millis, a.Millis), cmp.Compare(a.Object, b.Object))
}

// checkNear holds that the shelves which ask the vectors are on Home, too.
func (p *production) checkNear(t *testing.T) {
	t.Helper()
	await(t, "somebody's Home has tracks near what was played", func(ctx context.Context) error {
		for _, user := range p.listeners() {
			home, err := p.home(ctx, user)
			if err != nil {
				return err
			}
			if len(home.shelf("more_like_artist").Cards) > 0 {
				return nil
			}
		}
		return errors.New("more_like_artist is on no Home")
	})
}

// checkDeadLetters holds that nothing was given up.
func (p *production) checkDeadLetters(t *testing.T) {
	t.Helper()
	for _, topic := range []string{event.DeadLetterTopic, trigger.DeadLetterTopic} {
		// They would have been there for long: what is waited for is only the answer that there are none.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		found, err := p.deadLetters[topic].Pull(ctx, 10)
		if len(found) > 0 {
			t.Errorf("%s has %d messages or more; the first: %q", topic, len(found), found[0].Data)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("looking into %s: %v", topic, err)
		}
	}
}
