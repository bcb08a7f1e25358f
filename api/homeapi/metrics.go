package homeapi

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/home"
	"homefeed/shelves/shelfpb"
)

// metrics tell what is shown. With a nil Registerer they count for nobody.
type metrics struct {
	shelves *prometheus.CounterVec   // shelf, status
	ages    *prometheus.HistogramVec // shelf
	refused prometheus.Counter
	homes   atomic.Uint64 // counted so far
}

// agesOf is of how many Homes one has its rows' ages observed: quantiles need no more, and a dozen histograms would be a
// tenth of what a Home in memory costs.
const agesOf = 8

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		shelves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "shelves_total",
			Help: "Shelves shown, by shelf and rung of the fallback ladder.",
		}, []string{"shelf", "status"}),
		ages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "row_age_seconds",
			Help:    "Age of the rows shown, from their as-of time, by shelf, of one Home in eight.",
			Buckets: []float64{1, 5, 15, 60, 300, 1800, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400},
		}, []string{"shelf"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "homes_refused_total",
			Help: "Homes refused because as many were being made as can be.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.shelves, m.ages, m.refused} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// shelfMetrics are looked up once: a Home counts a dozen of them.
type shelfMetrics struct {
	status map[shelfpb.Status]prometheus.Counter
	age    prometheus.Observer
}

func (m *metrics) shelf(name string) shelfMetrics {
	s := shelfMetrics{status: map[shelfpb.Status]prometheus.Counter{}, age: m.ages.WithLabelValues(name)}
	for status, text := range shelfpb.Status_name {
		if status == 0 {
			continue // no rung has it
		}
		s.status[shelfpb.Status(status)] = m.shelves.WithLabelValues(name, text)
	}
	return s
}

// shownShelf is a shelf of an answer for the metrics.
type shownShelf struct {
	name   string
	status shelfpb.Status
	asOf   time.Time
	shown  prometheus.Counter
	age    prometheus.Observer
}

func (a *API) shown(s *home.Shelf) shownShelf {
	m := a.perShelf[s.Name]
	return shownShelf{s.Name, s.Rung.Status, s.Rung.AsOf, m.status[s.Rung.Status], m.age}
}

// count notes on which rungs the shelves stand that are sent.
func (a *API) count(shelves []shownShelf, now time.Time) {
	aged := a.metrics.homes.Add(1)%agesOf == 1
	for i := range shelves {
		s := &shelves[i]
		s.shown.Inc()
		if aged && !s.asOf.IsZero() {
			s.age.Observe(max(now.Sub(s.asOf), 0).Seconds())
		}
	}
}
