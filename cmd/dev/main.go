// Command dev is all of homefeed in one process, durable and with nothing to install: what runs is the production
// code behind the same contracts, with JetStream for Pub/Sub, Pebble for Bigtable and the local driver for Beam.
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
	"runtime/debug"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings handed in: 0 after an orderly end, 1 when something failed, 2 for wrong flags.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	cfg, err := parse(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	level := slog.LevelWarn
	if cfg.Verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log) // for libraries that log by themselves
	if os.Getenv("GOGC") == "" {
		// What is kept is small, and a refresh allocates much: with 100 the collector takes a tenth of the time. Its limit
		// is Config.Memory, which is made use of early this way, so that memory does not grow as what is kept does.
		debug.SetGCPercent(400)
	}
	if err := serve(ctx, cfg, out, log); err != nil {
		fmt.Fprintf(errOut, "dev: %v\n", err)
		return 1
	}
	return 0
}
