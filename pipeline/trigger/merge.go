package trigger

import "slices"

// Merge makes one trigger of those of each listener, and keeps the newest of each market's, whose windows replace one
// another. What it returns covers every event that ts cover, in the order of each key's first; what was merged has no
// ID. It is for a backlog: of a listener's many refreshes only the last would be seen. ts are in the order of
// publishing.
func Merge(ts []Trigger) []Trigger {
	merged := make([]Trigger, 0, len(ts))
	at := make(map[string]int, len(ts))
	owned := map[int]bool{} // its Due is a copy
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
			if !owned[i] {
				merged[i].Due, owned[i] = slices.Clone(merged[i].Due), true
			}
			merged[i].merge(&t)
		}
	}
	return merged
}

// merge keeps the earlier FireTime: latency counts from the older promise.
func (a *Trigger) merge(b *Trigger) {
	for _, d := range b.Due {
		i := slices.IndexFunc(a.Due, func(have Due) bool { return have.Shelf == d.Shelf })
		if i < 0 {
			a.Due = append(a.Due, d)
			continue
		}
		have := &a.Due[i]
		if d.First.Time.Before(have.First.Time) {
			have.First = d.First
		}
		if !d.Last.Time.Before(have.Last.Time) {
			have.Last = d.Last
		}
		have.Count += d.Count
	}
	a.ID = ""
	if b.FireTime.Before(a.FireTime) {
		a.FireTime = b.FireTime
	}
}
