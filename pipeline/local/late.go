package local

import (
	"time"

	"homefeed/pipeline/trigger"
)

const (
	// holdFor is how long a late trigger is held back, to be merged with those that follow.
	holdFor = time.Second
	// holdMost is how many are held before they are merged, and published if that doesn't help.
	holdMost = 16 << 10
)

// late holds triggers that are late already: behind a backlog the policy fires every refresh that was ever due, of which
// only each listener's last would be seen. Held back for a moment they become one, which covers the same events.
type late struct {
	after time.Duration // a trigger is late that fired so long ago; 0: none is
	clock Clock
	held  []trigger.Trigger
	users map[string]struct{} // of held
	since time.Time           // of the first that is held
}

// sort returns what is to be published now. A trigger that is not late waits behind one of its listener that is held.
func (l *late) sort(fired []trigger.Trigger) (now []trigger.Trigger) {
	if l.after <= 0 || len(fired) == 0 {
		return fired
	}
	clock := l.clock.Now()
	for i, t := range fired {
		_, waits := l.users[t.User]
		if !waits && clock.Sub(t.FireTime) <= l.after {
			now = append(now, fired[i])
			continue
		}
		if len(l.held) == 0 {
			l.since, l.users = clock, map[string]struct{}{}
		}
		l.held, l.users[t.User] = append(l.held, t), struct{}{}
	}
	return now
}

// full reports whether what is held has to be looked at before more comes.
func (l *late) full() bool { return len(l.held) >= holdMost }

// take returns what is held, merged, and holds nothing any more. Unless all is wanted, it is left for longer if little
// of it remains after merging and its time is not over.
func (l *late) take(all bool) []trigger.Trigger {
	if len(l.held) == 0 || !all && !l.full() && l.clock.Now().Sub(l.since) < holdFor {
		return nil
	}
	merged := trigger.Merge(l.held)
	if !all && len(merged) < holdMost/2 && l.clock.Now().Sub(l.since) < holdFor {
		l.held = merged
		return nil
	}
	l.held, l.users = nil, nil
	return merged
}
