package local

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	published      *prometheus.CounterVec
	publishErrors  prometheus.Counter
	publishSeconds prometheus.Histogram
	delivered      *prometheus.CounterVec
	redelivered    *prometheus.CounterVec
	read           *prometheus.CounterVec
	unreadDropped  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r) // with nil, what it makes is not registered
	return &metrics{
		published: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_bus_published_total", Help: "Messages stored, by topic; duplicates count.",
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
			Name: "homefeed_bus_redelivered_total", Help: "Messages handed out again, by subscription.",
		}, []string{"subscription"}),
		read: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_bus_read_total", Help: "Messages read, by log.",
		}, []string{"log"}),
		unreadDropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_bus_unread_dropped_total", Help: "Messages that went out of retention before a log read them.",
		}, []string{"log"}),
	}
}
