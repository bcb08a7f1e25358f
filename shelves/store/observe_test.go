package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/shelves/store"
)

// failing is a store whose every call returns err.
type failing struct{ err error }

func (f *failing) Write(context.Context, store.Key, ...store.Cell) error { return f.err }
func (f *failing) Read(context.Context, store.Key, int) (store.Row, error) {
	return store.Row{DeletedAt: time.Unix(1, 0)}, f.err
}
func (f *failing) Delete(context.Context, store.Key, time.Time) error { return f.err }
func (f *failing) Close() error                                       { return f.err }

func TestObserve(t *testing.T) {
	reg := prometheus.NewRegistry()
	inner := &failing{}
	first, second := store.Observe(inner, reg), store.Observe(inner, reg) // one set of metrics for both
	call := func(s store.Store, err error) {
		inner.err = err
		ctx := t.Context()
		if got := s.Write(ctx, "k"); !errors.Is(got, err) {
			t.Errorf("Write: got %v, want %v", got, err)
		}
		if row, got := s.Read(ctx, "k", 1); !errors.Is(got, err) || row.DeletedAt.IsZero() {
			t.Errorf("Read: got %v, %v, want what the store said and %v", row, got, err)
		}
		if got := s.Delete(ctx, "k", time.Unix(1, 0)); !errors.Is(got, err) {
			t.Errorf("Delete: got %v, want %v", got, err)
		}
		if got := s.Close(); !errors.Is(got, err) {
			t.Errorf("Close: got %v, want %v", got, err)
		}
	}
	call(first, nil)
	call(first, errors.New("disk"))
	call(second, fmt.Errorf("reading: %w", context.DeadlineExceeded))
	call(second, fmt.Errorf("reading: %w", context.Canceled))
	call(second, context.Canceled)
	call(store.Observe(inner, nil), nil) // counts for nobody

	want := map[string]float64{}
	for _, operation := range []string{"read", "write", "delete"} {
		want["homefeed_store_call_seconds "+operation] = 5
		want["homefeed_store_errors_total "+operation+" failed"] = 1
		want["homefeed_store_errors_total "+operation+" deadline"] = 1
		want["homefeed_store_errors_total "+operation+" cancelled"] = 2
	}
	if diff := cmp.Diff(want, gather(t, reg)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// gather is every counter and histogram's count, by name and label values.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}
