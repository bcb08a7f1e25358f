package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/flink"
	"google.golang.org/protobuf/encoding/protojson"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/beamgraph/prismjob"
	"homefeed/pipeline/bus/gcppubsub"
	"homefeed/services/ops"
)

// runOnPrism runs the job in this process until ctx ends.
func runOnPrism(ctx context.Context, cfg Config, log *slog.Logger) error {
	graph, err := cfg.graph()
	if err != nil {
		return err
	}
	reg, health, parts := ops.NewRegistry(), &ops.Health{}, ops.NewParts(log)
	conn, err := connect(ctx, cfg, log, reg)
	if err != nil {
		return err
	}
	parts.Close("connections", conn.opened.close)
	job, err := newJob(cfg, graph, conn, log, reg)
	if err == nil {
		job.server, err = prismjob.Start(ctx)
	}
	if err != nil {
		return errors.Join(err, parts.Stop())
	}
	health.Add("job", job.ready)
	parts.Go("admin", func(ctx context.Context) error { return ops.ServeAdmin(ctx, cfg.Admin, reg, health, log) })
	parts.Go("job", job.supervise)
	return parts.Run(ctx)
}

// submitToFlink hands the job to the job server that Beam's -endpoint names, and waits for it unless -async.
func submitToFlink(ctx context.Context, cfg Config) error {
	p, err := flinkPipeline(cfg)
	if err != nil {
		return err
	}
	if _, err := flink.Execute(ctx, p); err != nil {
		return fmt.Errorf("running on flink: %w", err)
	}
	return nil
}

func flinkPipeline(cfg Config) (*beam.Pipeline, error) {
	graph, err := cfg.graph()
	if err != nil {
		return nil, err
	}
	graph.Endpoints.Project, graph.Endpoints.Subscriptions = cfg.project(), cfg.Subscriptions
	return beamgraph.Pipeline(func(s beam.Scope) { beamgraph.Stream(s, graph) })
}

func submitToDataflow(ctx context.Context, cfg Config) error {
	graph, err := cfg.graph()
	if err != nil {
		return err
	}
	pubsub := beamgraph.PubSub{
		Project: cfg.project(), Subscriptions: cfg.subscriptions(),
		IDAttribute: gcppubsub.IDAttribute, TimeAttribute: gcppubsub.TimeAttribute, KeyAttribute: gcppubsub.KeyAttribute,
	}
	p, err := beamgraph.Pipeline(func(s beam.Scope) { beamgraph.Dataflow(s, graph, pubsub) })
	if err != nil {
		return err
	}
	if _, err := dataflow.Execute(ctx, p); err != nil {
		return fmt.Errorf("running on dataflow: %w", err)
	}
	return nil
}

// printJob shows the job that prism or flink would get. (Dataflow prints its own.)
func printJob(ctx context.Context, cfg Config, out io.Writer) error {
	p, err := flinkPipeline(cfg)
	if err != nil {
		return err
	}
	model, err := prismjob.Model(ctx, p, "beam:env:process:v1", func(context.Context) string { return `{"command":"/opt/apache/beam/boot"}` })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, protojson.MarshalOptions{Multiline: true}.Format(model))
	return err
}

// stuckAfter is for how long a running job may not ask its source for anything.
const stuckAfter = 2 * time.Minute
