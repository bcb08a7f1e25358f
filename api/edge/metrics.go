package edge

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those that every route has. With a nil Registerer they count for nobody.
type metrics struct {
	requests  *prometheus.CounterVec   // route, code
	durations *prometheus.HistogramVec // route
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "requests_total",
			Help: "Requests answered, by route and HTTP status code.",
		}, []string{"route", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "homefeed", Subsystem: "api", Name: "request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer, by route.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.durations} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// route returns what counts the requests of a route. Those are looked up once that there may be thousands a second of:
// the two answers of a Home, and refusals.
func (m *metrics) route(name string) func(status int, took time.Duration) {
	duration := m.durations.WithLabelValues(name)
	often := map[int]prometheus.Counter{}
	for _, status := range []int{http.StatusOK, http.StatusNotModified, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		often[status] = m.requests.WithLabelValues(name, strconv.Itoa(status))
	}
	return func(status int, took time.Duration) {
		duration.Observe(took.Seconds())
		counter := often[status]
		if counter == nil {
			counter = m.requests.WithLabelValues(name, strconv.Itoa(status))
		}
		counter.Inc()
	}
}
