package refresh

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the runner's. Labels are shelves' names, outcomes and reasons of ours; never anything of a trigger.
type metrics struct {
	triggers    *prometheus.CounterVec
	coalesced   prometheus.Counter
	held        prometheus.Gauge
	running     prometheus.Gauge
	fill        *prometheus.HistogramVec
	cards       *prometheus.HistogramVec
	dropped     *prometheus.CounterVec
	abandoned   *prometheus.GaugeVec
	unknown     prometheus.Counter
	write       prometheus.Histogram
	visible     *prometheus.HistogramVec
	beyond      *prometheus.HistogramVec
	deadLetters *prometheus.CounterVec
	busErrors   *prometheus.CounterVec
}

// newMetrics makes the metrics and registers them with reg, unless that is nil. The error is reg's: they are there
// already, since each Runner needs a registry, or a wrapped one, of its own.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	f := promauto.With(nil)
	name := func(n string) string { return "homefeed_refresh_" + n }
	m := &metrics{
		triggers: f.NewCounterVec(prometheus.CounterOpts{Name: name("triggers_total"),
			Help: "Deliveries of triggers by what became of them: done, retried, put_back, dead_lettered."}, []string{"outcome"}),
		coalesced: f.NewCounter(prometheus.CounterOpts{Name: name("coalesced_total"),
			Help: "Triggers that were done together with an earlier one of the same listener."}),
		held: f.NewGauge(prometheus.GaugeOpts{Name: name("held"),
			Help: "Triggers under lease, queued or running."}),
		running: f.NewGauge(prometheus.GaugeOpts{Name: name("in_flight"),
			Help: "Rows that are being made."}),
		fill: f.NewHistogramVec(prometheus.HistogramOpts{Name: name("fill_seconds"),
			Help:    "Time that a shelf's function took, by shelf and outcome.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12)}, []string{"shelf", "outcome"}),
		cards: f.NewHistogramVec(prometheus.HistogramOpts{Name: name("cards"),
			Help:    "Cards of a shelf when it was made.",
			Buckets: []float64{0, 1, 2, 5, 10, 15, 20, 30, 50, 100}}, []string{"shelf"}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{Name: name("cards_dropped_total"),
			Help: "Cards that can't be shown or were on the shelf already."}, []string{"shelf"}),
		abandoned: f.NewGaugeVec(prometheus.GaugeOpts{Name: name("abandoned_fills"),
			Help: "Calls of a shelf's function that outlived their deadline and still run."}, []string{"shelf"}),
		unknown: f.NewCounter(prometheus.CounterOpts{Name: name("unknown_shelves_total"),
			Help: "Due shelves that this runner does not have; they were skipped."}),
		write: f.NewHistogram(prometheus.HistogramOpts{Name: name("write_seconds"),
			Help:    "Time that storing a row took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12)}),
		visible: f.NewHistogramVec(prometheus.HistogramOpts{Name: name("event_to_visible_seconds"),
			Help:    "From the time of the first event that a shelf had not served to the row that serves it.",
			Buckets: []float64{0.1, 0.5, 1, 2, 2.1, 2.5, 3, 5, 5.2, 6, 10, 10.5, 12, 15, 30, 35, 60, 65, 120, 300, 900, 3600}}, []string{"shelf"}),
		beyond: f.NewHistogramVec(prometheus.HistogramOpts{Name: name("beyond_freshness_seconds"),
			Help:    "From the time at which a refresh was due by the shelf's promise to the row.",
			Buckets: []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 600}}, []string{"shelf"}),
		deadLetters: f.NewCounterVec(prometheus.CounterOpts{Name: name("dead_letters_total"),
			Help: "Triggers given up: undecodable, bad_trigger, or failed too often."}, []string{"reason"}),
		busErrors: f.NewCounterVec(prometheus.CounterOpts{Name: name("bus_errors_total"),
			Help: "Calls of the bus that failed: pull, ack, nack, extend, publish. Leases bring back what they concern."}, []string{"call"}),
	}
	for _, reason := range []string{"undecodable", "bad_trigger", string(Failed), string(TimedOut), string(Panicked)} {
		m.deadLetters.WithLabelValues(reason) // a rate from the first one on
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.triggers, m.coalesced, m.held, m.running, m.fill, m.cards, m.dropped, m.abandoned, m.unknown, m.write,
		m.visible, m.beyond, m.deadLetters, m.busErrors,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("refresh: registering metrics: %w", err)
		}
	}
	return m, nil
}
