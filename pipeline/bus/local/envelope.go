package local

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"homefeed/pipeline/bus"
)

// A message's fields travel as headers, where NATS tools show them.
const (
	// idHeader is what JetStream removes duplicates by. Its value is "<topic>/<id>": an id is unique in its topic.
	idHeader         = jetstream.MsgIDHeader
	keyHeader        = "homefeed-key"
	timeHeader       = "homefeed-time"       // Unix milliseconds
	attributesHeader = "homefeed-attributes" // a JSON object: attributes may hold what a header can't
)

// valid refuses what could not be read back as it was.
func valid(m *bus.Message) error {
	switch {
	case len(m.Data) > bus.MaxData:
		return fmt.Errorf("message of %d bytes: %w", len(m.Data), bus.ErrTooLarge)
	case !fitsHeader(m.ID):
		return fmt.Errorf("message ID %q: want no control characters and no space at its ends", m.ID)
	case !fitsHeader(m.Key):
		return fmt.Errorf("message Key %q: want no control characters and no space at its ends", m.Key)
	}
	return nil
}

// toNATS makes one message of a valid one.
func toNATS(topic string, m *bus.Message) (*nats.Msg, error) {
	h := make(nats.Header, 4)
	if m.ID != "" {
		h[idHeader] = []string{topic + "/" + m.ID}
	}
	if m.Key != "" {
		h[keyHeader] = []string{m.Key}
	}
	if !m.Time.IsZero() {
		h[timeHeader] = []string{strconv.FormatInt(m.Time.UnixMilli(), 10)}
	}
	attributes, err := encodeAttributes(m.Attributes)
	if err != nil {
		return nil, err
	}
	if attributes != "" {
		h[attributesHeader] = []string{attributes}
	}
	return &nats.Msg{Subject: topic, Header: h, Data: m.Data}, nil
}

// fromNATS reads what toNATS wrote. A header that it did not write so is left out: the data still counts.
func fromNATS(m *nats.Msg, published time.Time) bus.Message {
	msg := bus.Message{Data: m.Data, Time: published}
	if v := m.Header[idHeader]; len(v) > 0 {
		msg.ID = strings.TrimPrefix(v[0], m.Subject+"/")
	}
	if v := m.Header[keyHeader]; len(v) > 0 {
		msg.Key = v[0]
	}
	if v := m.Header[timeHeader]; len(v) > 0 {
		if ms, err := strconv.ParseInt(v[0], 10, 64); err == nil {
			msg.Time = time.UnixMilli(ms).UTC()
		}
	}
	if v := m.Header[attributesHeader]; len(v) > 0 {
		var attributes map[string]string
		if json.Unmarshal([]byte(v[0]), &attributes) == nil {
			msg.Attributes = attributes
		}
	}
	return msg
}

func fitsHeader(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}
