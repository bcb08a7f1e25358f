package beamgraph

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"homefeed/pipeline/trends"
)

// MetricsNamespace is where the DoFns' Beam metrics are.
const MetricsNamespace = "homefeed"

// Config is everything about the graph that is not a connection.
type Config struct {
	Endpoints Endpoints
	Rules     Rules
	// Buckets is over how many keys of Decide's state listeners are spread. What an access to the state costs on
	// Prism, it costs once a bucket and bundle then. 0: each listener is a key, with a state cell and a timer of its
	// own, for runners that spread keys over machines.
	Buckets int
	Trends  trends.Config
	Read    ReadOptions
	// Recent says that the Connections have a Recent source for trends.
	Recent bool
}

// Experiments that Prism must be run with.
var Experiments = []string{"prism_disable_sdf_split"}

// Pipeline makes a pipeline out of what build adds to it. Beam reports a graph that is wrong by panicking; here that
// is an error.
func Pipeline(build func(beam.Scope)) (p *beam.Pipeline, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("building the graph: %v", r)
		}
	}()
	p, root := beam.NewPipelineWithRoot()
	build(root)
	return p, nil
}

// Stream builds the whole graph over the job's own source and sink: for Prism and Flink.
func Stream(s beam.Scope, c Config) {
	tallied := &c.Trends
	if c.Recent {
		tallied = nil
	}
	admitted := Admit(s, c.Endpoints, c.Buckets, tallied, Read(s, c.Endpoints, c.Read))
	plays := admitted.Plays
	if c.Recent {
		plays = Count(s, c.Endpoints, c.Trends, ReadRecent(s, c.Endpoints, c.Read))
	}
	Publish(s.Scope("Triggers"), c.Endpoints, Decide(s, c.Endpoints, c.Rules, admitted.Packs))
	Publish(s.Scope("Trending"), c.Endpoints, Trend(s, c.Trends, plays))
	Publish(s.Scope("DeadLetters"), c.Endpoints, admitted.Dead)
}
