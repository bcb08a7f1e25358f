package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/prismjob"
)

// job keeps the Beam job running on Prism, and shows it to those who operate it.
type job struct {
	cfg        Config
	graph      beamgraph.Config
	conn       *connection
	log        *slog.Logger
	supervisor *prismjob.Supervisor
	server     *prismjob.Server

	mu      sync.Mutex
	conns   *beamgraph.Connections // of the current run; nil between runs
	running *prismjob.Running      // nil until the job was submitted
}

func newJob(cfg Config, graph beamgraph.Config, conn *connection, log *slog.Logger, reg prometheus.Registerer) (*job, error) {
	supervisor, err := prismjob.NewSupervisor(log, reg)
	if err != nil {
		return nil, err
	}
	j := &job{cfg: cfg, graph: graph, conn: conn, log: log, supervisor: supervisor}
	if err := reg.Register(&beamMetrics{job: j}); err != nil {
		return nil, fmt.Errorf("registering the job's metrics: %w", err)
	}
	return j, nil
}

func (j *job) supervise(ctx context.Context) error { return j.supervisor.Supervise(ctx, j.runOnce) }

// runOnce is one run of the job with connections of its own: what the last run had read and not finished is read
// again.
func (j *job) runOnce(ctx context.Context, attempt int) (err error) {
	conns, closeAll, err := j.conn.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	graph := j.graph
	graph.Endpoints.Job = fmt.Sprintf("%s-%d", j.cfg.Job, attempt)
	withdraw, err := beamgraph.Provide(graph.Endpoints.Job, conns)
	if err != nil {
		return err
	}
	defer withdraw()
	j.set(conns, nil)
	defer j.set(nil, nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go j.watch(ctx, cancel, conns)
	err = j.server.Run(ctx, prismjob.Job{
		Name: graph.Endpoints.Job, Experiments: beamgraph.Experiments,
		Build:   func(s beam.Scope) { beamgraph.Stream(s, graph) },
		Started: func(r *prismjob.Running) { j.set(conns, r) },
	})
	if cause := context.Cause(ctx); errors.Is(cause, errStuck) {
		return cause
	}
	return err
}

func (j *job) set(conns *beamgraph.Connections, running *prismjob.Running) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.conns, j.running = conns, running
}

func (j *job) current() (*beamgraph.Connections, *prismjob.Running) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.conns, j.running
}

var errStuck = fmt.Errorf("the job is stuck: it has not asked for events for %v", stuckAfter)

// watch ends a run that does not move any more: Prism has been seen to stall.
func (j *job) watch(ctx context.Context, cancel context.CancelCauseFunc, conns *beamgraph.Connections) {
	began := time.Now()
	tick := time.NewTicker(stuckAfter / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			last := conns.LastRead()
			if last.IsZero() {
				last = began
			}
			if now.Sub(last) > stuckAfter {
				cancel(errStuck)
				return
			}
		}
	}
}

// ready says whether the job reads. While one bundle is long it may not for a while.
func (j *job) ready(context.Context) error {
	conns, running := j.current()
	if conns == nil || running == nil {
		return errors.New("the job is not running")
	}
	if age := time.Since(conns.LastRead()); age > 30*time.Second {
		return fmt.Errorf("the job last asked for events %v ago", age.Round(time.Second))
	}
	return nil
}

// beamMetrics shows the current run's own counters. They begin at 0 with each run, as a counter may.
type beamMetrics struct{ job *job }

// Describe sends nothing: which counters there are, the job says.
func (*beamMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect asks the job; a job that does not answer in time has no metrics this time.
func (m *beamMetrics) Collect(out chan<- prometheus.Metric) {
	_, running := m.job.current()
	if running == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	counters, err := running.Counters(ctx, beamgraph.MetricsNamespace)
	if err != nil {
		m.job.log.Warn("the job's metrics are not available", "error", err)
		return
	}
	for name, value := range counters {
		desc := prometheus.NewDesc("homefeed_pipeline_beam_"+name+"_total", "Beam's counter "+name+" of the current run.", nil, nil)
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
}
