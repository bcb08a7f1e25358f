package prismjob

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Supervisor runs a job again and again.
type Supervisor struct {
	// Pause is the longest pause between two runs; pauses begin at a fiftieth of it. Default 30 s.
	Pause time.Duration
	// Healthy is after how long a run counts as a good one, so that the next pause is short again. Default 1 min.
	Healthy time.Duration
	Log     *slog.Logger
	Now     func() time.Time

	restarts prometheus.Counter
}

// NewSupervisor makes a Supervisor with the defaults. registerer may be nil.
func NewSupervisor(log *slog.Logger, registerer prometheus.Registerer) (*Supervisor, error) {
	s := &Supervisor{
		Pause: 30 * time.Second, Healthy: time.Minute, Log: log, Now: time.Now,
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "homefeed_pipeline_job_restarts_total",
			Help: "Runs of the Beam job that failed and were started again.",
		}),
	}
	if registerer == nil {
		return s, nil
	}
	if err := registerer.Register(s.restarts); err != nil {
		return nil, fmt.Errorf("registering the supervisor's metrics: %w", err)
	}
	return s, nil
}

// Supervise calls run until ctx is done, with growing pauses, and returns nil then. run gets the number of the
// attempt, from 1; it opens what the job needs and runs it. Whatever run returns or panics with while ctx lives is
// logged and counted, and run is called again.
func (s *Supervisor) Supervise(ctx context.Context, run func(ctx context.Context, attempt int) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = s.Pause / 50
	pauses.MaxInterval = s.Pause
	for attempt := 1; ; attempt++ {
		began := s.Now()
		err := contained(ctx, attempt, run)
		if ctx.Err() != nil {
			return nil
		}
		if s.Now().Sub(began) >= s.Healthy {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		s.restarts.Inc()
		s.Log.Error("the pipeline's job ended and is started again", "attempt", attempt, "pause", pause, "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

var errEnded = errors.New("the job ended although its source is endless")

func contained(ctx context.Context, attempt int, run func(context.Context, int) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := run(ctx, attempt); err != nil {
		return err
	}
	return errEnded
}
