package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Parts are what a process is made of. They are started in the order in which they are added and stopped in the
// reverse order, each only after those that depend on it have ended: so what was accepted is finished, not cut off.
// Use it from one goroutine.
type Parts struct {
	log    *slog.Logger
	parts  []part
	failed chan error
}

type part struct {
	name string
	stop func() error
}

// NewParts logs what starts and stops to log.
func NewParts(log *slog.Logger) *Parts {
	return &Parts{log: log, failed: make(chan error, 1)}
}

// Go starts a part that runs until its ctx ends. Ending before that, or panicking, ends the process in order.
func (p *Parts) Go(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := recovered(ctx, run)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			select {
			case p.failed <- fmt.Errorf("%s: %w", name, err):
			default:
				p.log.Error("another part failed, too", "part", name, "error", err)
			}
			err = nil // reported
		}
		ended <- err
	}()
	p.parts = append(p.parts, part{name, func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}})
}

// Close adds something that is only closed, such as a connection.
func (p *Parts) Close(name string, closing func() error) {
	p.parts = append(p.parts, part{name, closing})
}

// Run waits until ctx ends or a part fails, then stops every part in reverse order. The error is what failed, nil
// after an orderly end.
func (p *Parts) Run(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
		p.log.Info("stopping")
	case failure = <-p.failed:
		p.log.Error("stopping because a part failed", "error", failure)
	}
	return errors.Join(failure, p.Stop())
}

// Stop stops every part in reverse order; for a process that fails before Run.
func (p *Parts) Stop() error {
	var failures []error
	for i := len(p.parts) - 1; i >= 0; i-- {
		part := p.parts[i]
		if err := part.stop(); err != nil {
			failures = append(failures, fmt.Errorf("stopping %s: %w", part.name, err))
		}
		p.log.Debug("stopped", "part", part.name)
	}
	p.parts = nil
	return errors.Join(failures...)
}

func recovered(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return run(ctx)
}
