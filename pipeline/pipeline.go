// Package pipeline is the way from an Event to a Trigger, as plain functions without a driver: decode, record,
// decide (pipeline/refreshpolicy), trends (pipeline/trends), and what becomes of the rest, the dead letters.
//
// Two drivers run them: pipeline/local on one machine and pipeline/beamgraph as a Beam graph. Drivers hold no
// business rule. The rules that both keep:
//
//   - an event is recorded with the songs-played service before anything is decided about it;
//   - what can't be decoded, or is refused by the service for good, becomes a dead letter and is not retried;
//   - a refresh that is due fires before a later event of that listener is added.
package pipeline

import (
	"fmt"
	"time"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// TopicError says that a message carries another kind of event than its topic is for.
type TopicError struct {
	Topic string
	Kind  event.Kind
}

func (e *TopicError) Error() string {
	return fmt.Sprintf("action: a %s event belongs on topic %s, this came on %s", e.Kind, e.Kind.Topic(), e.Topic)
}

// Decode is the first stage: the event in a message that came on a topic, validated against now. An error means
// that the message is bad for ever: make it a DeadLetter and go on. It never panics, whatever the bytes.
func Decode(topic string, data []byte, now time.Time) (event.Event, error) {
	e, err := event.Decode(data, now)
	if err != nil {
		return event.Event{}, err
	}
	if e.Kind.Topic() != topic {
		return event.Event{}, &TopicError{Topic: topic, Kind: e.Kind}
	}
	return e, nil
}

// TriggerMessage is the trigger as it is published on trigger.Topic, with an ID if it has none yet. It fails only for a
// trigger that no stage makes: one that is not UTF-8 or larger than a message may be.
func TriggerMessage(t trigger.Trigger) (bus.Message, error) {
	if t.ID == "" {
		t = t.WithID()
	}
	data, err := trigger.Encode(t)
	if err != nil {
		return bus.Message{}, err
	}
	if len(data) > bus.MaxData {
		return bus.Message{}, fmt.Errorf("trigger %s of %d bytes: %w", t.ID, len(data), bus.ErrTooLarge)
	}
	return bus.Message{ID: t.ID, Key: t.Key(), Time: t.FireTime, Data: data}, nil
}
