package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

const (
	mediaType = "application/x-protobuf"
	// maxAnswer is more than an answer about maxBatch events ever is.
	maxAnswer = 4 << 20
	// longestRetryAfter is how long the other side may ask to be left alone.
	longestRetryAfter = 5 * time.Minute
)

// sender posts batches, one at a time, so that a listener's events arrive in order.
type sender struct {
	client     *http.Client
	url, token string
	backoff    Backoff
}

func newSender(cfg Config) *sender {
	s := &sender{
		client:  cfg.Client,
		url:     strings.TrimRight(cfg.To, "/") + "/v1/events",
		token:   cfg.Token,
		backoff: Backoff{cmp.Or(cfg.Backoff.First, 200*time.Millisecond), cmp.Or(cfg.Backoff.Most, 10*time.Second)},
	}
	if s.client == nil {
		s.client = &http.Client{}
	}
	return s
}

// send posts the events until the other side has answered what became of each, or refuses them as a whole.
// notify hears of each attempt that failed and will be repeated.
func (s *sender) send(ctx context.Context, events []event.Event, notify func(error, time.Duration)) ([]*eventpb.EventResult, error) {
	request := &eventpb.WriteEventsRequest{Events: make([]*eventpb.UserEvent, len(events))}
	for i, e := range events {
		request.Events[i] = event.ToProto(e)
	}
	body, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding events: %w", err)
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = s.backoff.First, s.backoff.Most, 2
	results, err := backoff.Retry(ctx, func() ([]*eventpb.EventResult, error) { return s.attempt(ctx, body) },
		backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
	if err != nil {
		return nil, fmt.Errorf("sending events: %w", err)
	}
	if len(results) != len(events) {
		return nil, fmt.Errorf("sending events: %d results for %d events: is this homefeed's API?", len(results), len(events))
	}
	return results, nil
}

// attempt posts the body once. Errors that repeating can't help are permanent.
func (s *sender) attempt(ctx context.Context, body []byte) ([]*eventpb.EventResult, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Accept", mediaType)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, failure(resp, answer, time.Now())
	}
	var written eventpb.WriteEventsResponse
	if err := proto.Unmarshal(answer, &written); err != nil || !isProtobuf(resp) {
		return nil, backoff.Permanent(errors.New("the answer is no WriteEventsResponse: is this homefeed's API?"))
	}
	return written.GetResults(), nil
}

func isProtobuf(resp *http.Response) bool {
	got, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && got == mediaType
}

// failure is the error of an answer that is not 200: permanent unless the other side is away or overloaded.
func failure(resp *http.Response, answer []byte, now time.Time) error {
	err := errors.New(resp.Status)
	if message := messageOf(resp, answer); message != "" {
		err = fmt.Errorf("%s: %s", resp.Status, message)
	}
	passing := resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented ||
		resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout
	if !passing {
		return backoff.Permanent(err)
	}
	if wait := retryAfter(resp.Header.Get("Retry-After"), now); wait > 0 {
		return fmt.Errorf("%w: %w", err, &backoff.RetryAfterError{Duration: wait})
	}
	return err
}

// messageOf is what an error says, in either form of google.rpc.Status.
func messageOf(resp *http.Response, answer []byte) string {
	if isProtobuf(resp) {
		var s status.Status
		if proto.Unmarshal(answer, &s) == nil {
			return s.GetMessage()
		}
		return ""
	}
	var s struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(answer, &s) == nil {
		return s.Error.Message
	}
	return ""
}

// retryAfter reads the header: seconds or a date; 0 when it says nothing that makes sense.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestRetryAfter.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), longestRetryAfter)
	}
	return 0
}
