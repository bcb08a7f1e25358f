package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
)

var errAway = errors.New("away")

// service answers with what calls has, call by call, and with nil when it has nothing more.
type service struct {
	answers []error
	calls   [][]string // ids
}

func (s *service) Record(ctx context.Context, events []event.Event) error {
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("called without a deadline")
	}
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	s.calls = append(s.calls, ids)
	if len(s.answers) == 0 {
		return nil
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer
}

func events(ids ...string) []event.Event {
	var out []event.Event
	for _, id := range ids {
		out = append(out, event.Event{ID: id, Kind: event.Played, User: "ann", Object: "t", Time: now})
	}
	return out
}

func refused(i int) error {
	return fmt.Errorf("recording: %w", &pipelinetest.Refused{Index: i})
}

func TestRecord(t *testing.T) {
	tests := []struct {
		name     string
		answers  []error
		calls    [][]string
		rejected []int
	}{
		{"at once", nil, [][]string{{"a", "b", "c"}}, nil},
		{"away for a while", []error{errAway, errAway}, [][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"a", "b", "c"}}, nil},
		{"one refused", []error{refused(1)}, [][]string{{"a", "b", "c"}, {"a", "c"}}, []int{1}},
		{"away, two refused", []error{errAway, refused(0), errAway, refused(1)},
			[][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"b", "c"}, {"b", "c"}, {"b"}}, []int{0, 2}},
		{"all refused", []error{refused(0), refused(0), refused(0)}, [][]string{{"a", "b", "c"}, {"b", "c"}, {"c"}}, []int{0, 1, 2}},
		{"one refused that isn't there", []error{refused(3), refused(-1)}, [][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"a", "b", "c"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{answers: tt.answers}
				in := events("a", "b", "c")
				got, err := pipeline.Record(t.Context(), s, in, pipeline.Recording{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.calls, s.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				var rejected []int
				for _, r := range got {
					rejected = append(rejected, r.Index)
					if r.Reason == nil {
						t.Errorf("event %d is rejected without a reason", r.Index)
					}
				}
				if diff := cmp.Diff(tt.rejected, rejected); diff != "" {
					t.Errorf("rejected (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(events("a", "b", "c"), in); diff != "" {
					t.Errorf("the caller's events were changed (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// It goes on for as long as ctx lives, with growing pauses, and then returns ctx's error.
func TestRecordNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		s := &service{answers: slices.Repeat([]error{errAway}, 1_000_000)}
		var longest time.Duration
		_, err := pipeline.Record(ctx, s, events("a"), pipeline.Recording{
			MaxWait: 20 * time.Second,
			Retry:   func(_ error, wait time.Duration) { longest = max(longest, wait) },
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Record after a day of outage: error %v: want ctx's", err)
		}
		if longest > 30*time.Second || longest < 20*time.Second || len(s.calls) < 24*60 {
			t.Errorf("%d calls, pauses up to %v: want one about every 20s", len(s.calls), longest)
		}
	})
}
