package main

import (
	"context"
	"fmt"

	"homefeed/pipeline"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/trigger"
)

// merging is a bus.Publisher that merges the triggers of each listener that are published at once. There is one at a
// time as long as the pipeline keeps up; behind a history of weeks there are hundreds, of which one is needed.
type merging struct{ bus.Publisher }

// Publish publishes what trigger.Merge makes of triggers, and everything else as it is.
func (m merging) Publish(ctx context.Context, topic string, msgs ...bus.Message) error {
	if topic != trigger.Topic || len(msgs) < 2 {
		return m.Publisher.Publish(ctx, topic, msgs...)
	}
	ts := make([]trigger.Trigger, len(msgs))
	for i := range msgs {
		t, err := trigger.Decode(msgs[i].Data)
		if err != nil {
			return fmt.Errorf("merging triggers: %w", err)
		}
		ts[i] = t
	}
	merged := trigger.Merge(ts)
	if len(merged) == len(ts) {
		return m.Publisher.Publish(ctx, topic, msgs...)
	}
	out := make([]bus.Message, len(merged))
	for i, t := range merged {
		msg, err := pipeline.TriggerMessage(t)
		if err != nil {
			return fmt.Errorf("merging triggers: %w", err)
		}
		out[i] = msg
	}
	return m.Publisher.Publish(ctx, topic, out...)
}
