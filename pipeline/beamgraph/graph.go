package beamgraph

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"homefeed/pipeline/trends"
)

// metricsNamespace is where the DoFns' Beam metrics are.
const metricsNamespace = "homefeed"

// Config is everything about the graph that is not a connection.
type Config struct {
	Endpoints Endpoints
	Rules     Rules
	Trends    trends.Config
	Read      ReadOptions
	// Recent says that the Connections have a Recent source for trends.
	Recent bool
}

// Experiments that Prism must be run with.
var Experiments = []string{"prism_disable_sdf_split"}

// Stream builds the whole graph over the job's own source and sink: for Prism and Flink.
func Stream(s beam.Scope, c Config) {
	pane := c.Trends.WithDefaults().Every
	admitted := Admit(s, c.Endpoints, pane, Read(s, c.Endpoints, c.Read))
	plays := admitted.Plays
	if c.Recent {
		plays = Count(s, c.Endpoints, pane, ReadRecent(s, c.Endpoints, c.Read))
	}
	Publish(s.Scope("Triggers"), c.Endpoints, Decide(s, c.Endpoints, c.Rules, admitted.Packs))
	Publish(s.Scope("Trending"), c.Endpoints, Trend(s, c.Trends, plays))
	Publish(s.Scope("DeadLetters"), c.Endpoints, admitted.Dead)
}
