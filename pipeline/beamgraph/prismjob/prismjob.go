// Package prismjob runs Beam jobs on Prism inside this process, and keeps them running. Prism retries nothing: an
// error or a panic in a DoFn fails the whole job, whose state was in memory. So a job is supervised, and begins
// again from what its source has not acknowledged.
package prismjob

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/metricsx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"

	"homefeed/pipeline/beamgraph"
)

// Server is a Prism in this process. It lives as long as the process: Prism has no way to stop one. It listens on
// every interface (it can't be told otherwise) and serves whoever reaches the port: keep the port closed.
type Server struct {
	jobs jobpb.JobServiceClient
}

// Start starts a Prism. beam.Init must have been called.
func Start(ctx context.Context) (*Server, error) {
	if !beam.Initialized() {
		return nil, fmt.Errorf("starting Prism: beam.Init was not called")
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting Prism: %w", err)
	}
	jobs, err := prism.CreateJobServer(ctx, prism.Options{Port: port})
	if err != nil {
		return nil, fmt.Errorf("starting Prism: %w", err)
	}
	return &Server{jobs: jobs}, nil
}

// freePort is needed because Prism does not tell which port it has chosen.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":0")
	if err != nil {
		return 0, fmt.Errorf("finding a port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("finding a port: %w", err)
	}
	return port, nil
}

// Job is a job to run.
type Job struct {
	Name        string
	Experiments []string
	Build       func(s beam.Scope)
	// Started, if set, hears of the job once it runs.
	Started func(*Running)
}

// Run runs the job until it ends, or ctx does: then the job is cancelled, which takes milliseconds, and the error
// is ctx's. A job that failed is an error.
func (s *Server) Run(ctx context.Context, j Job) error {
	p, err := beamgraph.Pipeline(j.Build)
	if err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	// The worker outlives ctx, so that cancelling goes through the job service and not by breaking connections.
	workers, err := extworker.StartLoopback(context.WithoutCancel(ctx), 0)
	if err != nil {
		return fmt.Errorf("starting the worker of job %s: %w", j.Name, err)
	}
	defer func() { _ = workers.Stop(context.WithoutCancel(ctx)) }()
	model, err := Model(ctx, p, "beam:env:external:v1", workers.EnvironmentConfig)
	if err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	id, err := s.submit(ctx, j, model)
	if err != nil {
		return fmt.Errorf("submitting job %s: %w", j.Name, err)
	}
	if j.Started != nil {
		j.Started(&Running{jobs: s.jobs, id: id, model: model})
	}
	defer context.AfterFunc(ctx, func() { s.cancel(ctx, id) })()
	if err := runnerlib.WaitForCompletion(context.WithoutCancel(ctx), s.jobs, id); err != nil {
		return fmt.Errorf("running job %s: %w", j.Name, err)
	}
	return ctx.Err()
}

// Model is the portable form of a pipeline, to be run by workers in the given environment.
func Model(ctx context.Context, p *beam.Pipeline, environment string, config func(context.Context) string) (*pipepb.Pipeline, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, fmt.Errorf("building the graph: %w", err)
	}
	env, err := graphx.CreateEnvironment(ctx, environment, config)
	if err != nil {
		return nil, fmt.Errorf("describing the workers: %w", err)
	}
	model, err := graphx.Marshal(edges, &graphx.Options{Environment: env})
	if err != nil {
		return nil, fmt.Errorf("encoding the graph: %w", err)
	}
	return model, nil
}

func (s *Server) submit(ctx context.Context, j Job, model *pipepb.Pipeline) (id string, err error) {
	prepared, _, token, err := runnerlib.Prepare(ctx, s.jobs, model, &runnerlib.JobOptions{
		Name: j.Name, Experiments: j.Experiments, Loopback: true,
	})
	if err != nil {
		return "", err
	}
	return runnerlib.Submit(ctx, s.jobs, prepared, token)
}

func (s *Server) cancel(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	// An error means that the server is gone, and the job with it: WaitForCompletion reports that.
	_, _ = s.jobs.Cancel(ctx, &jobpb.CancelJobRequest{JobId: id})
}

// Running is a job that was started.
type Running struct {
	jobs  jobpb.JobServiceClient
	id    string
	model *pipepb.Pipeline
}

// Counters are the job's own counters in a namespace, summed over the steps. Only what is committed counts: what
// was attempted includes the bundles that failed.
func (r *Running) Counters(ctx context.Context, namespace string) (map[string]int64, error) {
	answer, err := r.jobs.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: r.id})
	if err != nil {
		return nil, fmt.Errorf("asking for the metrics of job %s: %w", r.id, err)
	}
	sums := map[string]int64{}
	results := metricsx.FromMonitoringInfos(r.model, nil, answer.GetMetrics().GetCommitted())
	for _, c := range results.AllMetrics().Counters() {
		if c.Namespace() == namespace {
			sums[c.Name()] += c.Committed
		}
	}
	return sums, nil
}
