package trigger

import "slices"

// Merge makes one trigger of those of each listener, and keeps the newest of each market's, whose windows replace one
// another. What it returns covers every event that ts cover, in the order of each key's first. It is for a
// backlog: of a listener's many refreshes only the last would be seen. ts are in the order of publishing.
func Merge(ts []Trigger) []Trigger {
	merged := make([]Trigger, 0, len(ts))
	at := make(map[string]int, len(ts))
	changed := map[int]bool{}
	for _, t := range ts {
		i, known := at[t.Key()]
		switch {
		case !known:
			at[t.Key()] = len(merged)
			merged = append(merged, t)
		case t.Market != "":
			if !t.AsOf().Before(merged[i].AsOf()) {
				merged[i] = t
			}
		default:
			merged[i], changed[i] = merge(merged[i], t), true
		}
	}
	for i := range changed {
		merged[i] = merged[i].WithID()
	}
	return merged
}

// merge keeps the earlier FireTime: latency counts from the older promise. The result still needs its ID.
func merge(a, b Trigger) Trigger {
	due := slices.Clone(a.Due)
	for _, d := range b.Due {
		i := slices.IndexFunc(due, func(have Due) bool { return have.Shelf == d.Shelf })
		if i < 0 {
			due = append(due, d)
			continue
		}
		have := &due[i]
		if d.First.Time.Before(have.First.Time) {
			have.First = d.First
		}
		if !d.Last.Time.Before(have.Last.Time) {
			have.Last = d.Last
		}
		have.Count += d.Count
	}
	a.Due = due
	if b.FireTime.Before(a.FireTime) {
		a.FireTime = b.FireTime
	}
	return a
}
