package local

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector

	published      *prometheus.CounterVec
	publishErrors  prometheus.Counter
	publishSeconds prometheus.Histogram
	delivered      *prometheus.CounterVec
	redelivered    *prometheus.CounterVec
	read           *prometheus.CounterVec
	unreadDropped  *prometheus.CounterVec
}

func newMetrics() *metrics {
	f := promauto.With(nil) // register is what registers, and can fail
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
			Name: "homefeed_bus_unread_dropped_total", Help: "Messages that went out of retention before a log read them; those stored together count once.",
		}, []string{"log"}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.published, m.publishErrors, m.publishSeconds, m.delivered, m.redelivered, m.read, m.unreadDropped}
}

// register does nothing with nil. It fails when another bus has the names in r.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	m.registerer = r
	for _, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("registering metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

// unregister lets another bus have the names.
func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c) // by its name: only what is ours may be given here
	}
	m.registered = nil
}
