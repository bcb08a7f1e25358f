package ops_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/ops"
)

func TestPartsStopInReverseOrder(t *testing.T) {
	var stopped []string
	p := ops.NewParts(slog.New(slog.DiscardHandler))
	p.Close("store", func() error { stopped = append(stopped, "store"); return nil })
	for _, name := range []string{"runner", "api"} {
		p.Go(name, func(ctx context.Context) error {
			<-ctx.Done()
			stopped = append(stopped, name) // no race: the parts stop one after the other
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	if diff := cmp.Diff([]string{"api", "runner", "store"}, stopped); diff != "" {
		t.Errorf("order of stopping (-want +got):\n%s", diff)
	}
}

func TestPartsEndWhenOneFails(t *testing.T) {
	for name, run := range map[string]func(context.Context) error{
		"error":           func(context.Context) error { return errors.New("disk full") },
		"panic":           func(context.Context) error { panic("disk full") },
		"ended by itself": func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			closed := false
			p := ops.NewParts(slog.New(slog.DiscardHandler))
			p.Close("store", func() error { closed = true; return nil })
			p.Go("driver", run)
			err := p.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "driver: ") || !closed {
				t.Errorf("Run = %v, closed %v; want an error that names the driver, and the store closed", err, closed)
			}
		})
	}
}
