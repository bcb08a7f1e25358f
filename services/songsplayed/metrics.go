package songsplayed

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	actions       *prometheus.CounterVec
	late          prometheus.Counter
	scanned       prometheus.Histogram
	artistLookups *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_songsplayed_actions_total",
			Help: "Actions recorded, by kind; an action recorded twice counts twice.",
		}, []string{"kind"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "homefeed_songsplayed_late_removals_total",
			Help: "Batches of a listener's actions that came after the listener had them erased, and were removed again.",
		}),
		scanned: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "homefeed_songsplayed_scanned_rows",
			Help:    "Rows that one call read.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9), // 1 to 65,536
		}),
		artistLookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_songsplayed_artist_lookups_total",
			Help: "Tracks whose artist was wanted, by where the answer came from: cached, or asked of the catalogue.",
		}, []string{"from"}),
	}
	if r == nil {
		return m, nil
	}
	if err := errors.Join(r.Register(m.actions), r.Register(m.late), r.Register(m.scanned), r.Register(m.artistLookups)); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return m, nil
}
