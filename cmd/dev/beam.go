package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"homefeed/pipeline/bus/local"
)

// beamStop is how long the Beam program may take to end when it is asked to.
const beamStop = 20 * time.Second

// startBeam keeps the program of cmd/pipeline running: the Beam graph on Prism, in a process of its own that
// reads this process' bus. The program restarts a failed job by itself; what is handled here is its own death.
func (p *process) startBeam() error {
	if _, err := os.Stat(p.cfg.Pipeline); err != nil {
		return fmt.Errorf("-pipeline: %w (go build -o bin/pipeline ./cmd/pipeline)", err)
	}
	restarts := promauto.With(p.reg).NewCounter(prometheus.CounterOpts{
		Name: "homefeed_dev_pipeline_restarts_total", Help: "How often the Beam program ended by itself and was started again.",
	})
	p.parts.Go("beam pipeline", func(ctx context.Context) error {
		pause := backoff.NewExponentialBackOff()
		for ctx.Err() == nil {
			started := time.Now()
			err := p.runBeam(ctx)
			if ctx.Err() != nil {
				return err
			}
			if time.Since(started) > time.Minute {
				pause.Reset()
			}
			wait := pause.NextBackOff()
			restarts.Inc()
			p.log.Error("the Beam program ended; starting it again", "error", err, "wait", wait)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		return nil
	})
	return nil
}

// runBeam runs the program until it ends or ctx does.
func (p *process) runBeam(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.cfg.Pipeline,
		"-runner", "prism",
		"-bus", "nats://"+p.bus.Addr(),
		"-bus-token", filepath.Join(p.cfg.Data, "bus", local.TokenFile),
		"-songsplayed", p.cfg.GRPC,
		"-admin", p.cfg.BeamAdmin)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = beamStop
	err := cmd.Run()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // it was asked to end, and did
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", p.cfg.Pipeline, err)
	}
	return nil
}
