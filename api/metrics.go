package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/home"
	"homefeed/api/intake"
	"homefeed/shelves/shelfpb"
)

// metrics are the API's. With a nil Registerer they count for nobody.
type metrics struct {
	requests  *prometheus.CounterVec   // route, code
	durations *prometheus.HistogramVec // route
	shelves   *prometheus.CounterVec   // shelf, status
	ages      *prometheus.HistogramVec // shelf
	accepted  *prometheus.CounterVec   // kind
	rejected  *prometheus.CounterVec   // kind, reason
	feedback  *prometheus.CounterVec   // shelf, what was done
	failures  *prometheus.CounterVec   // of what: row, market, publish, cell, panic
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "homefeed", Subsystem: "api", Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("requests_total", "Requests answered, by route and HTTP status code.", "route", "code"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer, by route.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		shelves: counter("shelves_total", "Shelves shown, by shelf and rung of the fallback ladder.", "shelf", "status"),
		ages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "row_age_seconds",
			Help:    "Age of the rows shown, from their as-of time, by shelf.",
			Buckets: []float64{1, 5, 15, 60, 300, 1800, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400},
		}, []string{"shelf"}),
		accepted: counter("events_accepted_total", "Events published, by kind.", "kind"),
		rejected: counter("events_rejected_total", "Events refused, by kind and the field that was wrong.", "kind", "reason"),
		feedback: counter("card_feedback_total", "What listeners did to cards, by shelf: seen, tapped or hidden.", "shelf", "action"),
		failures: counter("failures_total", "What failed without or before its answer, by what.", "what"),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.shelves, m.ages, m.accepted, m.rejected, m.feedback, m.failures} {
		if err := reg.Register(c); err != nil {
			return nil, err
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
func (a *API) count(shelves []shownShelf) {
	now := a.now()
	for i := range shelves {
		s := &shelves[i]
		s.shown.Inc()
		if !s.asOf.IsZero() {
			s.age.Observe(max(now.Sub(s.asOf), 0).Seconds())
		}
	}
}

func (m *metrics) events(b *intake.Batch, published bool) {
	for _, r := range b.Rejected {
		m.rejected.WithLabelValues(r.Kind, r.Reason).Inc()
	}
	if !published {
		return
	}
	for _, f := range b.Feedback {
		m.feedback.WithLabelValues(f.Card.Shelf, f.Kind).Inc()
	}
	for _, t := range b.Topics {
		m.accepted.WithLabelValues(t.Kind.String()).Add(float64(len(t.Messages)))
	}
}

// route returns what counts the requests of a route. The two answers of a Home are looked up once.
func (m *metrics) route(name string) func(status int, took time.Duration) {
	duration := m.durations.WithLabelValues(name)
	ok, same := m.requests.WithLabelValues(name, "200"), m.requests.WithLabelValues(name, "304")
	return func(status int, took time.Duration) {
		duration.Observe(took.Seconds())
		switch status {
		case http.StatusOK:
			ok.Inc()
		case http.StatusNotModified:
			same.Inc()
		default:
			m.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
		}
	}
}
