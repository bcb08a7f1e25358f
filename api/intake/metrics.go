package intake

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count events. With a nil Registerer they count for nobody.
type metrics struct {
	accepted *prometheus.CounterVec // kind
	rejected *prometheus.CounterVec // kind, reason
	feedback *prometheus.CounterVec // shelf, what was done
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "homefeed", Subsystem: "api", Name: name, Help: help}, labels)
	}
	m := &metrics{
		accepted: counter("events_accepted_total", "Events published, by kind.", "kind"),
		rejected: counter("events_rejected_total", "Events refused, by kind and the field that was wrong.", "kind", "reason"),
		feedback: counter("card_feedback_total", "What listeners did to cards, by shelf: seen, tapped or hidden.", "shelf", "action"),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.accepted, m.rejected, m.feedback} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) count(b *Batch, published bool) {
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
