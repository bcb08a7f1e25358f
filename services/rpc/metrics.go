package rpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
)

// calls measures one side of calls. Its only labels are the method and the code: both are few.
type calls struct {
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   *prometheus.CounterVec // of a server only
}

func newCalls(r prometheus.Registerer, side string) (*calls, error) {
	c := &calls{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "homefeed_rpc_" + side + "_duration_seconds",
			Help:    "Time of a call by method and code, on the " + side + "'s side.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // 0.5 ms to 8 s
		}, []string{"method", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "homefeed_rpc_" + side + "_calls_in_flight",
			Help: "Calls that have begun and not ended, on the " + side + "'s side.",
		}),
	}
	err := errors.Join(register(r, &c.seconds), register(r, &c.inFlight))
	if side == "server" {
		c.panics = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_rpc_server_panics_total",
			Help: "Handlers that panicked, by method; their callers got INTERNAL.",
		}, []string{"method"})
		err = errors.Join(err, register(r, &c.panics))
	}
	return c, err
}

// register registers *c, or puts the one that is registered already in its place: several servers and
// connections of one process share their metrics, which the method tells apart.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	if r == nil {
		return nil
	}
	err := r.Register(*c)
	var again prometheus.AlreadyRegisteredError
	if errors.As(err, &again) {
		if same, ok := again.ExistingCollector.(C); ok {
			*c = same
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("registering gRPC metrics: %w", err)
	}
	return nil
}

// begin counts a call as begun; the function that it returns, as ended.
func (c *calls) begin(method string) func(error) {
	start := time.Now()
	c.inFlight.Inc()
	return func(err error) {
		c.inFlight.Dec()
		c.seconds.WithLabelValues(method, status.Code(err).String()).Observe(time.Since(start).Seconds())
	}
}
