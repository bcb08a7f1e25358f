package madeup

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/event"
)

var noon = time.Date(2031, 5, 14, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// checkStream checks what holds for every stream: events are valid, in order, with ids of their own and never two
// of one listener at a time, and their tracks, artists and listeners are the world's.
func checkStream(t *testing.T, w *World, events []event.Event, now time.Time) {
	t.Helper()
	tracks, artists, listeners := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, tr := range w.tracks {
		tracks[tr.id] = true
	}
	for _, a := range w.artists {
		artists[a.id] = true
	}
	for _, l := range w.people {
		listeners[l.name] = markets[l.market].code
	}
	ids := map[string]bool{}
	last := map[string]time.Time{}
	var before time.Time
	for _, e := range events {
		if err := e.Validate(now); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if e.Time.Before(before) {
			t.Fatalf("%+v comes after an event at %v", e, before)
		}
		if at, ok := last[e.User]; ok && !e.Time.After(at) {
			t.Fatalf("%+v: the listener did something at %v already", e, at)
		}
		if ids[e.ID] {
			t.Fatalf("%+v: the id is taken", e)
		}
		if e.Time.Location() != time.UTC || !e.Time.Equal(e.Time.Truncate(time.Millisecond)) {
			t.Fatalf("%+v: want UTC and whole milliseconds", e)
		}
		if market, ok := listeners[e.User]; !ok || market != e.Market {
			t.Fatalf("%+v: the listener is known (%v), of market %q", e, ok, market)
		}
		if e.Kind == event.Followed && !artists[e.Object] || e.Kind != event.Followed && !tracks[e.Object] {
			t.Fatalf("%+v: the object is unknown", e)
		}
		before, last[e.User], ids[e.ID] = e.Time, e.Time, true
	}
}

func TestHistory(t *testing.T) {
	w := New(11, Sizes{})
	from := noon.Add(-10 * day)
	events := slices.Collect(w.History(from, noon))
	checkStream(t, w, events, noon)
	if first, last := events[0].Time, events[len(events)-1].Time; first.Before(from) || !last.Before(noon) {
		t.Errorf("from %v to %v, want none before %v and none at %v or later", first, last, from, noon)
	}
	count := map[event.Kind]float64{}
	active := map[string]bool{}
	for _, e := range events {
		count[e.Kind] += 1. / 200 / 10
		active[e.User] = true
	}
	if p := count[event.Played]; p < 20 || p > 30 {
		t.Errorf("%.1f plays a listener and day, want about 25", p)
	}
	if h, f := count[event.Hearted], count[event.Followed]; h < .1 || h > 1.5 || f < .05 || f > .5 {
		t.Errorf("%.2f hearts and %.2f follows a listener and day, want .1–1.5 and .05–.5", h, f)
	}
	if len(active) != 200 {
		t.Errorf("%d of 200 listeners did anything", len(active))
	}
	if d := cmp.Diff(events[:500], take(New(11, Sizes{}).History(from, noon), 500)); d != "" {
		t.Errorf("the same seed has another history:\n%s", d)
	}
	if slices.Equal(events[:500], take(New(12, Sizes{}).History(from, noon), 500)) {
		t.Error("another seed has the same history")
	}
}

func take(events iter.Seq[event.Event], n int) []event.Event {
	var list []event.Event
	for e := range events {
		if list = append(list, e); len(list) == n {
			break
		}
	}
	return list
}

// TestHistoryInPieces checks that a history is the same when it is asked for in pieces, whatever the border.
func TestHistoryInPieces(t *testing.T) {
	w := New(11, Sizes{Listeners: 20})
	from := noon.Add(-5 * day)
	whole := slices.Collect(w.History(from, noon))
	for _, border := range []time.Time{
		from, noon, from.Add(31*time.Hour + 7*time.Millisecond), whole[99].Time, whole[99].Time.Add(1), whole[99].Time.Add(-1),
	} {
		pieces := slices.AppendSeq(slices.Collect(w.History(from, border)), w.History(border, noon))
		if d := cmp.Diff(whole, pieces); d != "" {
			t.Errorf("in two pieces from %v:\n%s", border, d)
		}
	}
	if n := len(slices.Collect(w.History(noon, from))); n != 0 {
		t.Errorf("%d events from noon to days before", n)
	}
}

// TestTastes checks that what a listener plays most is of the strongest genre of the listener's taste.
func TestTastes(t *testing.T) {
	w := New(11, Sizes{})
	checkTastes(t, w, w.History(noon.Add(-60*day), noon))
}

func checkTastes(t *testing.T, w *World, events iter.Seq[event.Event]) {
	t.Helper()
	genreOf := map[string]int{}
	for _, tr := range w.tracks {
		genreOf[tr.id] = tr.genre
	}
	plays := map[string][]int{}
	for _, l := range w.people {
		plays[l.name] = make([]int, len(w.genres))
	}
	for e := range events {
		if e.Kind == event.Played {
			plays[e.User][genreOf[e.Object]]++
		}
	}
	matches, inTaste, all := 0, 0, 0
	for _, l := range w.people {
		counts := plays[l.name]
		if counts[l.taste[0].genre] == slices.Max(counts) {
			matches++
		}
		for g, n := range counts {
			all += n
			if slices.ContainsFunc(l.taste, func(p preference) bool { return p.genre == g }) {
				inTaste += n
			}
		}
	}
	if 10*matches < 8*len(w.people) {
		t.Errorf("the top genre is the taste's for %d of %d listeners, want 8 of 10", matches, len(w.people))
	}
	if share := float64(inTaste) / float64(all); share < .85 || share > .99 {
		t.Errorf("%.3f of plays are in the listener's taste, want .85–.99", share)
	}
}

func TestNightsAreQuiet(t *testing.T) {
	w := New(11, Sizes{})
	offset := map[string]time.Duration{}
	for _, l := range w.people {
		offset[l.name] = time.Duration(l.offset) * time.Millisecond
	}
	var hours [24]float64
	for e := range w.History(noon.Add(-10*day), noon) {
		hours[e.Time.Add(offset[e.User]).Hour()]++
	}
	for _, night := range []int{2, 3, 4} {
		for _, awake := range []int{7, 8, 17, 18, 19, 20} {
			if 5*hours[night] > hours[awake] {
				t.Errorf("%.0f events at %d h local time and %.0f at %d h", hours[night], night, hours[awake], awake)
			}
		}
	}
}

// TestSessions checks that most plays follow another within 3 to 4 minutes, that sessions end, by midnight at the
// latest (a day is made up without the one before), and that no track follows itself.
func TestSessions(t *testing.T) {
	w := New(11, Sizes{})
	people := map[string]*listener{}
	for i := range w.people {
		people[w.people[i].name] = &w.people[i]
	}
	last := map[string]event.Event{}
	next, pause, sooner := 0., 0., 0.
	for e := range w.History(noon.Add(-10*day), noon) {
		if e.Kind != event.Played {
			continue
		}
		l, ms := people[e.User], e.Time.UnixMilli()
		if l.localDay(ms) != l.localDay(ms+180_000) {
			t.Fatalf("%+v goes on past the listener's midnight", e)
		}
		if before, ok := last[e.User]; ok {
			switch gap := e.Time.Sub(before.Time); {
			case gap < 3*time.Minute:
				sooner++
			case gap <= 4*time.Minute+2*time.Second:
				next++
				if e.Object == before.Object {
					t.Fatalf("%+v right after itself", e)
				}
			case gap > 30*time.Minute:
				pause++
			}
		}
		last[e.User] = e
	}
	if sooner > 0 {
		t.Errorf("%.0f plays come sooner than 3 minutes after the one before", sooner)
	}
	if ratio := next / pause; ratio < 3 || ratio > 15 {
		t.Errorf("%.0f plays follow another at once and %.0f after a pause: want 3–15 for 1", next, pause)
	}
}

// TestLovedThenDropped checks that jump_back_in has something: tracks with 5 plays or more and none in the last 14
// days, at any time of which there is a history of some weeks.
func TestLovedThenDropped(t *testing.T) {
	w := New(11, Sizes{})
	for _, c := range []struct {
		days            time.Duration
		end             time.Time
		listeners, each int // so many listeners have so many such tracks
	}{{23, noon, 140, 1}, {23, noon.Add(4*day + 5*time.Hour), 140, 1}, {30, noon, 185, 1}, {60, noon, 190, 3}} {
		has := droppedTracks(w, c.end.Add(-c.days*day), c.end)
		enough := 0
		for _, n := range has {
			if n >= c.each {
				enough++
			}
		}
		if enough < c.listeners || has["ada"] == 0 {
			t.Errorf("after %d days to %v %d of 200 listeners have %d dropped tracks, want %d; ada has %d",
				c.days, c.end, enough, c.each, c.listeners, has["ada"])
		}
	}
}

// droppedTracks is how many tracks each listener has that were played 5 times, but not in the last 14 days.
func droppedTracks(w *World, from, to time.Time) map[string]int {
	type key struct{ user, track string }
	count, last := map[key]int{}, map[key]time.Time{}
	for e := range w.History(from, to) {
		if e.Kind == event.Played {
			count[key{e.User, e.Object}]++
			last[key{e.User, e.Object}] = e.Time
		}
	}
	has := map[string]int{}
	for k, n := range count {
		if n >= 5 && last[k].Before(to.Add(-14*day)) {
			has[k.user]++
		}
	}
	return has
}

// BenchmarkHistory gives the events a second that a history of 200 listeners is made at.
func BenchmarkHistory(b *testing.B) {
	w := New(11, Sizes{})
	b.ReportAllocs()
	left := b.N
	for left > 0 {
		for range w.History(noon.Add(-365*day), noon) {
			if left--; left == 0 {
				break
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
