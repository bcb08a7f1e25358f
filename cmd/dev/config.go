package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

// Config is everything that can be set from outside. The zero of each field is what the flag's help says.
type Config struct {
	Data      string  // directory of everything that lasts
	Listen    string  // Home, events and the page
	Admin     string  // health and metrics
	GRPC      string  // the three services and Home, for tools such as grpcurl and for the Beam driver
	Catalog   string  // TSV; empty: a made-up one
	Playlists string  // one a line, track ids by blanks; empty: made-up ones, or none with -catalog
	Driver    string  // what runs the pipeline's stages: local or beam
	Pipeline  string  // the program of cmd/pipeline, for -driver beam
	BeamAdmin string  // health and metrics of that program
	Demo      bool    // made-up listeners play
	Seed      uint64  // of everything made up
	Rate      float64 // live events a second with -demo
	Days      int     // of history with -demo
	Memory    int     // MiB that Go's memory is kept within, by memlimit.Keep; 0: defaultMemory
	Verbose   bool    // log everything
	// Retrain is how often vectors are learnt anew from what was played. 0 is never: training takes a processor for
	// seconds to minutes, and shelves that change by themselves are what one wants to have asked for.
	Retrain       time.Duration
	RetrainMargin float64 // by what part new vectors may guess worse than the old ones and serve all the same
}

// defaultMemory is for 5,000 listeners who play 500 tracks a second: some 100 MiB are in use then.
const defaultMemory = 320

// parse reads the flags. Its error has been shown to the user on out already.
func parse(args []string, out io.Writer) (Config, error) {
	var c Config
	fs := flag.NewFlagSet("dev", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&c.Data, "data", filepath.Join("data", "dev"), "`directory` of everything that lasts")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "loopback `address` of Home, events and the page")
	fs.StringVar(&c.Admin, "admin", "127.0.0.1:9090", "loopback `address` of health and metrics")
	fs.StringVar(&c.GRPC, "grpc", "", "loopback `address` of the services and of Home over gRPC, with reflection; empty: in process only")
	fs.StringVar(&c.Catalog, "catalog", "", "catalogue `file` (TSV: track, artist, title); empty: a made-up one")
	fs.StringVar(&c.Playlists, "playlists", "", "playlists `file` to learn from (track ids by blanks); empty: made-up ones, or none with -catalog")
	fs.StringVar(&c.Driver, "driver", "local", "what runs the pipeline: local, or beam (Prism, in a process of its own)")
	fs.StringVar(&c.Pipeline, "pipeline", "", "the `program` of cmd/pipeline, for -driver beam")
	fs.StringVar(&c.BeamAdmin, "pipeline-admin", "127.0.0.1:9091", "loopback `address` of that program's health and metrics")
	fs.BoolVar(&c.Demo, "demo", false, "made-up listeners play: a history first, then live")
	fs.Uint64Var(&c.Seed, "seed", 1, "seed of everything made up")
	fs.Float64Var(&c.Rate, "rate", 5, "live events a second with -demo")
	fs.IntVar(&c.Days, "days", 30, "days of history with -demo")
	fs.DurationVar(&c.Retrain, "retrain", 0, "learn vectors anew from what was played, so `often`; they serve unless they are worse than the old ones. 0: never")
	fs.IntVar(&c.Memory, "memory", defaultMemory, "`MiB` to keep Go's memory within, unless more than half is in use; what the stores take is beside it, and GOMEMLIMIT goes before it")
	fs.Float64Var(&c.RetrainMargin, "retrain-margin", 0, "the `part` by which they may guess worse than the old ones and serve all the same. 0: 0.05")
	fs.BoolVar(&c.Verbose, "v", false, "log everything, not only warnings, to the terminal")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if err := c.validate(fs.Args()); err != nil {
		fmt.Fprintf(out, "dev: %v\n", err)
		return c, err
	}
	return c, nil
}

func (c *Config) validate(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("argument %q: want flags only", rest[0])
	}
	for name, addr := range map[string]string{"-listen": c.Listen, "-admin": c.Admin, "-grpc": c.GRPC, "-pipeline-admin": c.BeamAdmin} {
		if name == "-grpc" && addr == "" {
			continue
		}
		// Anybody may be anybody here, so nobody but this machine may ask.
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("%s %q: want host:port", name, addr)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%s %q: want a loopback address such as 127.0.0.1:8080: tokens are not checked here", name, addr)
		}
	}
	switch {
	case c.Data == "":
		return errors.New("-data: want a directory")
	case c.Driver != "local" && c.Driver != "beam":
		return fmt.Errorf("-driver %q: want local or beam", c.Driver)
	case c.Driver == "beam" && c.Pipeline == "":
		return errors.New("-pipeline: want the program of cmd/pipeline (go build -o bin/pipeline ./cmd/pipeline)")
	case c.Demo && c.Catalog != "":
		return errors.New("-demo: its listeners play the made-up catalogue: leave out -catalog, or replay a log with homefeed replay")
	case c.Rate <= 0 || c.Rate > 1000:
		return fmt.Errorf("-rate %v: want more than 0 and at most 1000", c.Rate)
	case c.Retrain < 0 || c.Retrain > 0 && c.Retrain < time.Second:
		return fmt.Errorf("-retrain %v: want 1s or more, or 0 for never", c.Retrain)
	case c.Memory < 0 || c.Memory > 0 && c.Memory < 64 || c.Memory > 1<<20:
		return fmt.Errorf("-memory %d: want MiB, 64 to 1048576, or 0 for %d", c.Memory, defaultMemory)
	case !(c.RetrainMargin >= 0 && c.RetrainMargin < 1): // also refuses NaN
		return fmt.Errorf("-retrain-margin %v: want 0 to 1", c.RetrainMargin)
	case c.Days < 1 || c.Days > 365:
		return fmt.Errorf("-days %d: want 1 to 365", c.Days)
	}
	if c.Driver == "beam" && c.GRPC == "" {
		c.GRPC = "127.0.0.1:0" // the other process records there
	}
	c.Memory = cmp.Or(c.Memory, defaultMemory)
	return nil
}
