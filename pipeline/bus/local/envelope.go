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

// toNATS refuses what could not be read back as it was.
func toNATS(topic string, m *bus.Message) (*nats.Msg, error) {
	if len(m.Data) > bus.MaxData {
		return nil, fmt.Errorf("message of %d bytes: %w", len(m.Data), bus.ErrTooLarge)
	}
	if !fitsHeader(m.ID) {
		return nil, fmt.Errorf("message ID %q: want no control characters and no space at its ends", m.ID)
	}
	if !fitsHeader(m.Key) {
		return nil, fmt.Errorf("message Key %q: want no control characters and no space at its ends", m.Key)
	}
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
	if len(m.Attributes) > 0 {
		b, err := json.Marshal(m.Attributes)
		if err != nil {
			return nil, fmt.Errorf("encoding attributes: %w", err)
		}
		h[attributesHeader] = []string{string(b)}
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
