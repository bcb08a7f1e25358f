package gcppubsub

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics have the names of the local bus's, so that one dashboard shows both.
type metrics struct {
	published      *prometheus.CounterVec
	publishErrors  prometheus.Counter
	publishSeconds prometheus.Histogram
	delivered      *prometheus.CounterVec
	redelivered    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r) // with nil, what it makes is not registered
	return &metrics{
		published: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_bus_published_total", Help: "Messages published, by topic.",
		}, []string{"topic"}),
		publishErrors: f.NewCounter(prometheus.CounterOpts{
			Name: "homefeed_bus_publish_errors_total", Help: "Publish calls that failed.",
		}),
		publishSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "homefeed_bus_publish_seconds", Help: "How long Publish calls took, whatever their size.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 3, 12),
		}),
		delivered: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_bus_delivered_total", Help: "Messages handed out, by subscription.",
		}, []string{"subscription"}),
		redelivered: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_bus_redelivered_total", Help: "Messages handed out again, by subscription, where Pub/Sub counts.",
		}, []string{"subscription"}),
	}
}
