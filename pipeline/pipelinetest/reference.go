// Package pipelinetest says what any driver of the pipeline's stages must make of a log, and has the fakes to run
// one on: a log, a publisher and a recorder in memory.
package pipelinetest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
	"homefeed/pipeline/trigger"
)

// Outcome is what comes of a log.
type Outcome struct {
	Events   []event.Event     // the good ones, in the order of the log
	Bad      []bus.Entry       // the others: each is a dead letter
	Triggers []trigger.Trigger // of listeners, in the order of Sort
	Trends   []trigger.Trigger // the newest of each market, by market
}

// Reference is the outcome of the entries when events are validated against now and time goes on to until: the
// policy alone, listener by listener, and windows counted anew from the plays. A driver makes exactly these triggers
// of a log that is in order of time. Of any other order, or with repetitions, it comes to the same Rows. windows is
// nil for none.
func Reference(entries []bus.Entry, policy *refreshpolicy.Policy, windows *trends.Config, now, until time.Time) Outcome {
	var out Outcome
	states := map[string]*refreshpolicy.State{}
	for _, entry := range entries {
		e, err := pipeline.Decode(entry.Topic, entry.Data, now)
		if err != nil {
			out.Bad = append(out.Bad, entry)
			continue
		}
		out.Events = append(out.Events, e)
		if states[e.User] == nil {
			states[e.User] = &refreshpolicy.State{}
		}
		out.Triggers = append(out.Triggers, policy.Add(states[e.User], e, entry.Pos)...)
	}
	for user, state := range states {
		out.Triggers = append(out.Triggers, policy.Advance(state, user, until)...)
	}
	for i, t := range out.Triggers {
		out.Triggers[i] = t.WithID()
	}
	Sort(out.Triggers)
	if windows != nil {
		out.Trends = newestWindows(out.Events, windows.WithDefaults(), until)
	}
	return out
}

// newestWindows tells, for each market, the newest window that has ended by until and has plays. It knows nothing
// of lateness and bounds.
func newestWindows(events []event.Event, cfg trends.Config, until time.Time) []trigger.Trigger {
	type play struct {
		user, track string
		at          time.Time
	}
	seen := map[play]bool{}
	markets := map[string][]event.Event{}
	for _, e := range events {
		p := play{e.User, e.Object, e.Time}
		if e.Kind != event.Played || seen[p] {
			continue
		}
		seen[p] = true
		for _, market := range trends.Markets(e) {
			markets[market] = append(markets[market], e)
		}
	}
	var out []trigger.Trigger
	for _, market := range slices.Sorted(maps.Keys(markets)) {
		if t, ok := newestWindow(market, markets[market], cfg, until); ok {
			out = append(out, t)
		}
	}
	return out
}

func newestWindow(market string, plays []event.Event, cfg trends.Config, until time.Time) (trigger.Trigger, bool) {
	every := cfg.Every.Milliseconds()
	for end := until.UnixMilli() / every * every; ; {
		var newest int64 // play before end
		window := &trends.Tally{}
		for _, e := range plays {
			at := e.Time.UnixMilli()
			if at < end {
				newest = max(newest, at)
			}
			if at < end && at >= end-cfg.Length.Milliseconds() {
				window.Add(e)
			}
		}
		if window.Count > 0 || newest == 0 {
			return cfg.Trigger(market, time.UnixMilli(end), window)
		}
		end = newest/every*every + cfg.Length.Milliseconds() // its last window
	}
}

// Sort orders triggers by when they fired, and then by whom they are for and by what they are due to.
func Sort(ts []trigger.Trigger) {
	slices.SortFunc(ts, func(a, b trigger.Trigger) int {
		return cmp.Or(a.FireTime.Compare(b.FireTime), cmp.Compare(a.Key(), b.Key()),
			a.AsOf().Compare(b.AsOf()), cmp.Compare(a.ID, b.ID))
	})
}

// Row is what a shelf's row comes to: the newest event that it shows. A market's has its tracks.
type Row struct {
	Last  trigger.Ref
	Count int64                // of a market only
	Top   []trigger.TrackCount // of a market only
}

// Rows are the rows that triggers, in the order of publishing, end in; by key and shelf, as "ann/recently_played".
// The one as of the newest time stays; of two as of one time, a market's later one.
func Rows(ts []trigger.Trigger) map[string]Row {
	rows := map[string]Row{}
	for _, t := range ts {
		for _, d := range t.Due {
			name := t.Key() + "/" + d.Shelf
			row := Row{Last: d.Last}
			if t.Market != "" {
				row.Count, row.Top = d.Count, t.Top
			}
			before, ok := rows[name]
			newer := cmp.Or(d.Last.Time.Compare(before.Last.Time), cmp.Compare(d.Last.ID, before.Last.ID))
			if !ok || newer > 0 || t.Market != "" && d.Last.Time.Equal(before.Last.Time) {
				rows[name] = row
			}
		}
	}
	return rows
}

// Uncovered are the events that make a shelf of the policy stale by themselves and are in no run of it: those from
// a Due's First to its Last. None is lost when there are none. (Shelves that wait for several events are left out.)
func Uncovered(events []event.Event, ts []trigger.Trigger, shelves map[event.Kind][]string) []event.Event {
	type run struct{ first, last int64 }
	runs := map[string][]run{}
	for _, t := range ts {
		for _, d := range t.Due {
			name := t.User + "/" + d.Shelf
			runs[name] = append(runs[name], run{d.First.Time.UnixMilli(), d.Last.Time.UnixMilli()})
		}
	}
	var lost []event.Event
	for _, e := range events {
		at := e.Time.UnixMilli()
		for _, shelf := range shelves[e.Kind] {
			if !slices.ContainsFunc(runs[e.User+"/"+shelf], func(r run) bool { return r.first <= at && at <= r.last }) {
				lost = append(lost, e)
				break
			}
		}
	}
	return lost
}
