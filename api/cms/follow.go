package cms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics says how far this instance is, and what it has done.
type metrics struct {
	version  prometheus.Gauge
	failures *prometheus.CounterVec
	entries  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		version: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "homefeed_cms_version",
			Help: "Version of the placements that this instance shows; 0 is the ones it was started with.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_cms_follow_failures_total",
			Help: "Looks at what is published that failed: log (it can't be read) or version (it can't be shown).",
		}, []string{"what"}),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_cms_changes_total",
			Help: "Changes that editors made through this instance.",
		}, []string{"action"}),
	}
	for _, what := range []string{"log", "version"} {
		m.failures.WithLabelValues(what)
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.version, m.failures, m.entries} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Follow calls apply with each version that is published, the latest only, until ctx ends: at once after a change
// through this Desk, and within every after a change elsewhere. While the log is away, or apply refuses a version,
// what was applied last stays; both are logged once, counted, and tried again. Use one Follow a Desk.
func (d *Desk) Follow(ctx context.Context, every time.Duration, apply func(Version) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var applied int64
	failing := ""
	for {
		what, moved, err := "log", (<-chan struct{})(nil), error(nil)
		var v Version
		err = d.inTurn(ctx, func(context.Context) error {
			v, moved = d.state.Published, d.moved
			return nil
		})
		if err == nil && v.Number != applied {
			if err = apply(v); err != nil {
				what, err = "version", fmt.Errorf("version %d: %w", v.Number, err)
			} else {
				applied = v.Number
				d.metrics.version.Set(float64(v.Number))
				d.logger.Info("placements are published", "version", v.Number)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			d.metrics.failures.WithLabelValues(what).Inc()
			if failing != what {
				d.logger.Warn("what is published can't be followed until further notice", "what", what, "error", err)
			}
			failing = what
		} else if failing != "" {
			d.logger.Info("what is published can be followed again")
			failing = ""
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-tick.C:
		}
	}
}
