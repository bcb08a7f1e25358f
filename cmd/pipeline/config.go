package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/gcpopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"homefeed/pipeline/beamgraph"
	"homefeed/pipeline/event"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
	"homefeed/shelves"
)

// Config is everything that can be set from outside, besides the flags of Beam's runners.
type Config struct {
	Runner        string        // prism, flink or dataflow
	Bus           string        // nats://host:port or pubsub://project
	BusToken      string        // file with the token of a nats bus
	Subscriptions string        // prefix of the event topics' subscriptions on Pub/Sub
	Lease         time.Duration // the acknowledgement deadline of those
	SongsPlayed   string        // address of the songs-played service
	Plaintext     bool          // call it without TLS
	Admin         string        // health and metrics
	Cooldown      time.Duration // of the refresh policy
	Pause         time.Duration // between two looks at the source
	Buckets       int           // of listeners, on Prism
	Job           string        // name of the job, and of the place in the log
	DryRun        bool          // print the job and do not submit it
}

// parse reads args. What is wrong has been shown on out.
func parse(args []string, out io.Writer) (Config, error) {
	var c Config
	// Beam's runners register their flags here, so ours have to stand beside them.
	fs := flag.CommandLine
	fs.Init("pipeline", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&c.Runner, "runner", "prism", "prism (in this process), flink or dataflow")
	fs.StringVar(&c.Bus, "bus", "", "`address` of the bus: nats://host:port or pubsub://project")
	fs.StringVar(&c.BusToken, "bus-token", "", "`file` with the token of a nats bus")
	fs.StringVar(&c.Subscriptions, "subscriptions", "pipeline-", "what the names of the Pub/Sub subscriptions begin with, before the topic")
	fs.DurationVar(&c.Lease, "lease", time.Minute, "the subscriptions' acknowledgement deadline; on flink longer than any freshness")
	fs.StringVar(&c.SongsPlayed, "songsplayed", "", "`address` of the songs-played service")
	fs.BoolVar(&c.Plaintext, "plaintext", false, "call it without TLS although it is not on loopback: only inside a network that encrypts")
	fs.StringVar(&c.Admin, "admin", "127.0.0.1:9090", "`address` of health and metrics, on prism")
	fs.DurationVar(&c.Cooldown, "cooldown", shelves.Cooldown, "least event time between two refreshes of a listener")
	fs.DurationVar(&c.Pause, "pause", 0, "after how long the source looks again; 0 means 50 ms")
	fs.IntVar(&c.Buckets, "buckets", 8, "over how many keys of the runner's state listeners are spread, on prism")
	fs.StringVar(&c.Job, "job", "pipeline", "`name` of the job, and of its place in the log")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	c.DryRun = fs.Lookup("dry_run").Value.String() == "true" // Beam's own
	if err := c.validate(fs.Args()); err != nil {
		fmt.Fprintf(out, "pipeline: %v\n", err)
		return c, err
	}
	c.setBeamFlags()
	return c, nil
}

func (c *Config) validate(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("argument %q: want flags only", rest[0])
	}
	nats, isNATS := strings.CutPrefix(c.Bus, "nats://")
	project, isPubSub := strings.CutPrefix(c.Bus, "pubsub://")
	switch {
	case c.Runner != "prism" && c.Runner != "flink" && c.Runner != "dataflow":
		return fmt.Errorf("-runner %q: want prism, flink or dataflow", c.Runner)
	case !isNATS && (!isPubSub || project == ""):
		return fmt.Errorf("-bus %q: want nats://host:port or pubsub://project", c.Bus)
	case isNATS && c.Runner != "prism":
		return fmt.Errorf("-bus %q: want pubsub://project, because -runner is %s: its workers have no common log", c.Bus, c.Runner)
	case isNATS && c.BusToken == "":
		return errors.New("-bus-token: want the file with the bus' token")
	case c.SongsPlayed == "":
		return errors.New("-songsplayed: want the service's address")
	case c.Job == "":
		return errors.New("-job: want a name")
	case c.Buckets < 0:
		return fmt.Errorf("-buckets %d: want 0, each listener a key, or more", c.Buckets)
	}
	if isNATS {
		if _, _, err := net.SplitHostPort(nats); err != nil {
			return fmt.Errorf("-bus %q: want nats://host:port", c.Bus)
		}
	}
	return nil
}

// project is the Pub/Sub project; empty on a nats bus.
func (c *Config) project() string {
	project, ok := strings.CutPrefix(c.Bus, "pubsub://")
	if !ok {
		return ""
	}
	return project
}

// setBeamFlags gives Beam's own options what ours say already.
func (c *Config) setBeamFlags() {
	if *jobopts.JobName == "" {
		*jobopts.JobName = c.Job
	}
	if *gcpopts.Project == "" {
		*gcpopts.Project = c.project()
	}
}

// graph is the graph's configuration; the rules come from the list of shelves that this program was built with.
func (c *Config) graph() (beamgraph.Config, error) {
	rules, err := beamgraph.RulesOf(shelves.All(), refreshpolicy.Config{Cooldown: c.Cooldown})
	if err != nil {
		return beamgraph.Config{}, err
	}
	return beamgraph.Config{
		Endpoints: beamgraph.Endpoints{Job: c.Job, SongsPlayed: c.SongsPlayed, Plaintext: c.Plaintext},
		Rules:     rules,
		Trends:    trends.Config{},
		Buckets:   c.buckets(),
		Read:      beamgraph.ReadOptions{Pause: c.Pause},
		Recent:    c.project() == "",
	}, nil
}

// buckets puts listeners together where the state is in this process, and keeps them apart for runners that spread
// keys over machines.
func (c *Config) buckets() int {
	if c.Runner != "prism" {
		return 0
	}
	return c.Buckets
}

// subscription is the name of a topic's subscription.
func subscription(prefix, topic string) string { return prefix + topic }

// subscriptions are those of every event topic, by topic.
func (c *Config) subscriptions() map[string]string {
	names := map[string]string{}
	for _, topic := range event.Topics() {
		names[topic] = subscription(c.Subscriptions, topic)
	}
	return names
}
