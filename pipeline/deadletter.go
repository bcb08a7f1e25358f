package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/eventpb"
)

// The attributes of a dead letter's message.
const (
	// AttrTopic is the topic that the message came on.
	AttrTopic = "topic"
	// AttrReason is why it is here, at most 200 bytes; the letter has all of it.
	AttrReason = "reason"
	// AttrCutFrom is the payload's size in bytes before it was cut to fit; absent when it is whole.
	AttrCutFrom = "cut-from"
)

const (
	maxReason = 1024
	// What is left to the payload when reason and attributes have had theirs.
	maxLetterPayload    = bus.MaxData - 64<<10
	maxLetterAttributes = 32 << 10
)

// DeadLetter wraps a message that no stage can use, to be published on event.DeadLetterTopic. attempts is how
// often it was tried. The same message, refused again, makes a letter with the same ID. It always makes one:
// bytes that are not UTF-8 are replaced in reason and attributes (never in the payload), and a payload that would
// make the letter larger than a message may be is cut and says so in AttrCutFrom.
func DeadLetter(topic string, m bus.Message, attempts int, reason error) (bus.Message, error) {
	letter := &eventpb.DeadLetter{
		Topic:      text(topic, maxReason),
		Reason:     text(reason.Error(), maxReason),
		Payload:    m.Data,
		Attributes: attributes(m.Attributes),
		Attempts:   int32(attempts),
	}
	if !m.Time.IsZero() {
		letter.Time = timestamppb.New(m.Time)
	}
	out := bus.Message{
		ID:         letterID(topic, m.Data),
		Key:        m.Key,
		Time:       m.Time,
		Attributes: map[string]string{AttrTopic: letter.Topic, AttrReason: text(letter.Reason, 200)},
	}
	if len(m.Data) > maxLetterPayload {
		letter.Payload = m.Data[:maxLetterPayload]
		out.Attributes[AttrCutFrom] = strconv.Itoa(len(m.Data))
	}
	data, err := proto.Marshal(letter)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encoding dead letter of a message on %s: %w", topic, err)
	}
	out.Data = data
	return out, nil
}

func letterID(topic string, payload []byte) string {
	h := sha256.New()
	h.Write([]byte(topic))
	h.Write([]byte{0})
	h.Write(payload)
	return "dl-" + hex.EncodeToString(h.Sum(nil)[:12])
}

// attributes are as many of m as fit, in the order of their names.
func attributes(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	kept, size := make(map[string]string, len(m)), 0
	for _, name := range slices.Sorted(maps.Keys(m)) {
		k, v := text(name, maxReason), text(m[name], maxReason)
		if size += len(k) + len(v) + 8; size > maxLetterAttributes {
			break
		}
		kept[k] = v
	}
	return kept
}

// text makes s valid UTF-8 of at most most bytes.
func text(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "") // what was cut in the middle goes, too
}
