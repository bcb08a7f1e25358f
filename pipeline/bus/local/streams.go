package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// The streams, each with its topics as subjects.
const (
	eventsStream     = "EVENTS"
	feedbackStream   = "FEEDBACK"
	triggersStream   = "TRIGGERS"
	deadLetterStream = "DEADLETTER"
	floorsBucket     = "FLOORS" // key/value: <stream>.<name of a log> → its floor
)

// duplicateWindow is how long the server remembers message ids. Every id costs it about 150 bytes for that long,
// so it is short: enough for a publisher that tries again at once.
const duplicateWindow = 5 * time.Second

// streamTopics is what each stream holds.
func streamTopics() map[string][]string {
	return map[string][]string{
		eventsStream:     event.Topics(),
		feedbackStream:   {event.FeedbackTopic},
		triggersStream:   {trigger.Topic},
		deadLetterStream: {event.DeadLetterTopic, trigger.DeadLetterTopic},
	}
}

// packs reports whether a topic's messages travel in packs: those of the stream that is read as a log alone.
func packs(topic string) bool { return slices.Contains(event.Topics(), topic) }

// streamOf returns the one stream that holds all topics.
func streamOf(topics ...string) (string, error) {
	if len(topics) == 0 {
		return "", errors.New("topics: want at least one")
	}
	for stream, held := range streamTopics() {
		if !slices.Contains(held, topics[0]) {
			continue
		}
		for _, topic := range topics[1:] {
			if !slices.Contains(held, topic) {
				return "", fmt.Errorf("topics: %s and %s are in different streams; want topics of one", topics[0], topic)
			}
		}
		return stream, nil
	}
	return "", fmt.Errorf("topic %q is unknown", topics[0])
}

// filterFor is what to filter stream by for the topics: nothing when they are all that it holds, which is faster.
func filterFor(stream string, topics []string) []string {
	for _, held := range streamTopics()[stream] {
		if !slices.Contains(topics, held) {
			return topics
		}
	}
	return nil
}

// prepare makes the streams, or brings their limits up to date, and checks the floors against them.
func (b *Bus) prepare(ctx context.Context, o Options) error {
	last := map[string]uint64{}
	for name, topics := range streamTopics() {
		age := o.MaxAge
		if name == deadLetterStream {
			age *= 4
		}
		s, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name:        name,
			Subjects:    topics,
			Storage:     jetstream.FileStorage,
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardOld,
			MaxAge:      age,
			MaxBytes:    o.MaxBytes,
			Duplicates:  duplicateWindow,
			AllowDirect: true,
		})
		if err != nil {
			return fmt.Errorf("preparing stream %s: %w", name, err)
		}
		last[name] = s.CachedInfo().State.LastSeq
	}
	floors, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: floorsBucket, Storage: jetstream.FileStorage})
	if err != nil {
		return fmt.Errorf("preparing floors: %w", err)
	}
	return b.lowerFloors(ctx, floors, last)
}

// lowerFloors takes each floor down to the end of its stream. After a loss of power a stream can end before a floor
// that was flushed later, and what is published next would lie below it, unread.
func (b *Bus) lowerFloors(ctx context.Context, floors jetstream.KeyValue, last map[string]uint64) error {
	keys, err := floors.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("listing floors: %w", err)
	}
	for key := range keys.Keys() {
		stream, _, _ := strings.Cut(key, ".")
		floor, err := readFloor(ctx, floors, key)
		if err != nil {
			return err
		}
		if end, ok := last[stream]; ok && sequenceOf(floor) > end {
			b.logger.Warn("bus stream ends before a log's floor: lowering the floor", "log", key, "floor", floor, "end", lastOf(end))
			if err := writeFloor(ctx, floors, key, lastOf(end)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFloor is 0 for a log that has none.
func readFloor(ctx context.Context, floors jetstream.KeyValue, key string) (uint64, error) {
	entry, err := floors.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading floor %s: %w", key, err)
	}
	floor, err := strconv.ParseUint(string(entry.Value()), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading floor %s: want a position: %w", key, err)
	}
	return floor, nil
}

func writeFloor(ctx context.Context, floors jetstream.KeyValue, key string, pos uint64) error {
	if _, err := floors.Put(ctx, key, strconv.AppendUint(nil, pos, 10)); err != nil {
		return fmt.Errorf("writing floor %s: %w", key, err)
	}
	return nil
}

// validName keeps names of logs and subscriptions to what may be part of a subject and of a file's name.
func validName(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("name %q: want 1–64 of A–Z a–z 0–9 _ -", name)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("name %q: want 1–64 of A–Z a–z 0–9 _ -", name)
		}
	}
	return nil
}
