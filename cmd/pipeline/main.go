// Command pipeline is the Beam program: from events on the bus to refresh triggers, on Prism in this process, on
// Flink, or on Dataflow.
//
//	pipeline -runner prism -bus nats://127.0.0.1:4222 -bus-token FILE -songsplayed 127.0.0.1:8081
//	pipeline -runner prism -bus pubsub://PROJECT -songsplayed songsplayed:8081 -plaintext
//	pipeline -runner flink -bus pubsub://PROJECT -songsplayed … -endpoint JOBSERVER:8099 \
//	         -environment_type PROCESS -environment_config '{"command":"/opt/apache/beam/boot"}'
//	pipeline -runner dataflow -bus pubsub://PROJECT -songsplayed … -region … -staging_location gs://…
//
// Flink and Dataflow take Beam's own flags, too. With -dry_run the job is printed and not submitted. On Prism the
// process supervises its job, ends with SIGTERM, and needs no storage: it begins again from what the bus has not
// heard to be done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"homefeed/pipeline/beamgraph"
	"homefeed/services/ops"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings handed in: 0 after an orderly end, 1 when something failed, 2 for wrong flags.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	log := slog.New(slog.NewJSONHandler(errOut, nil))
	if isWorker(args) {
		return work(args)
	}
	cfg, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	beam.Init()
	slog.SetDefault(log) // Prism logs there and nowhere else; Init has set another one
	ops.LogConfig(log, "pipeline", cfg)
	if err := start(ctx, cfg, out, log); err != nil {
		fmt.Fprintf(errOut, "pipeline: %v\n", err)
		return 1
	}
	return 0
}

// isWorker reports whether a runner has started this program to run DoFns: its boot program says so with a flag.
func isWorker(args []string) bool {
	for _, a := range args {
		if a == "-worker" || a == "--worker" || a == "--worker=true" || a == "-worker=true" {
			return true
		}
	}
	return false
}

// work serves bundles until the runner ends the process: beam.Init does not return.
func work(args []string) int {
	if err := flag.CommandLine.Parse(args); err != nil {
		return 2
	}
	beamgraph.OpenWith(openForWorker)
	beam.Init()
	return 1
}

func start(ctx context.Context, cfg Config, out io.Writer, log *slog.Logger) error {
	switch {
	case cfg.Runner == "dataflow":
		return submitToDataflow(ctx, cfg)
	case cfg.DryRun:
		return printJob(ctx, cfg, out)
	case cfg.Runner == "flink":
		return submitToFlink(ctx, cfg)
	}
	return runOnPrism(ctx, cfg, log)
}
