package local

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	read, decoded, recorded, decided prometheus.Counter
	deadDecode, deadRecord           prometheus.Counter
	published                        *prometheus.CounterVec
	recordRetries, publishRetries    prometheus.Counter
	checkpointErrors                 prometheus.Counter
	trendsLeftOut                    *prometheus.CounterVec
	timers                           prometheus.Gauge
	batch                            prometheus.Histogram
	stages                           map[string]prometheus.Observer
}

// progress is how far a run has got.
type progress struct {
	outstanding atomic.Int64  // batches read and not passed on
	caughtUp    atomic.Bool   // the log was read to its end
	watermark   atomic.Int64  // ms
	passed      atomic.Uint64 // position of the last entry passed on
	floor       atomic.Uint64 // the log's
}

// lag is how far the watermark is behind now: 0 when there is nothing that could move it.
func (p *progress) lag(now time.Time) time.Duration {
	if p.outstanding.Load() == 0 && p.caughtUp.Load() || p.watermark.Load() == 0 {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(p.watermark.Load())))
}

func newMetrics(registerer prometheus.Registerer, p *progress, clock Clock) *metrics {
	f := promauto.With(registerer)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "homefeed_pipeline_" + name, Help: help})
	}
	dead := f.NewCounterVec(prometheus.CounterOpts{
		Name: "homefeed_pipeline_dead_letters_total", Help: "Messages that no stage could use, by the stage that said so.",
	}, []string{"stage"})
	m := &metrics{
		read:     counter("events_read_total", "Messages read from the log."),
		decoded:  counter("events_decoded_total", "Events decoded and found valid."),
		recorded: counter("events_recorded_total", "Events that the songs-played service has acknowledged."),
		decided:  counter("events_decided_total", "Events that the refresh policy has taken."),

		deadDecode: dead.WithLabelValues("decode"),
		deadRecord: dead.WithLabelValues("record"),
		published: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_pipeline_published_total", Help: "Messages published, by topic.",
		}, []string{"topic"}),
		recordRetries:    counter("record_retries_total", "Calls to the songs-played service that had to be repeated."),
		publishRetries:   counter("publish_retries_total", "Publications that had to be repeated."),
		checkpointErrors: counter("checkpoint_errors_total", "Checkpoints that could not be kept: the floor did not move."),
		trendsLeftOut: f.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_pipeline_trends_inexact_total",
			Help: "Plays that trends did not count as they came, by why: repeated and late ones are left out, " +
				"unremembered ones would be counted again, uncounted ones were too many.",
		}, []string{"why"}),
		timers: f.NewGauge(prometheus.GaugeOpts{
			Name: "homefeed_pipeline_timers_count", Help: "Listeners with something unserved or remembered.",
		}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "homefeed_pipeline_batch_events", Help: "Events of a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
		stages: map[string]prometheus.Observer{},
	}
	stages := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "homefeed_pipeline_stage_seconds", Help: "Time that a stage took for a batch.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
	}, []string{"stage"})
	for _, stage := range []string{"decode", "record", "decide", "publish", "checkpoint"} {
		m.stages[stage] = stages.WithLabelValues(stage)
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "homefeed_pipeline_watermark_lag_seconds",
		Help: "How far the watermark is behind the clock; 0 when everything is passed on.",
	}, func() float64 { return p.lag(clock.Now()).Seconds() })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "homefeed_pipeline_floor_lag_positions",
		Help: "How far the log's floor is behind the last position passed on.",
	}, func() float64 {
		floor, passed := p.floor.Load(), p.passed.Load()
		return float64(passed - min(floor, passed))
	})
	return m
}

func (m *metrics) took(stage string, began time.Time) {
	m.stages[stage].Observe(time.Since(began).Seconds())
}

func (m *metrics) leftOut(why string, n int64) {
	if n > 0 {
		m.trendsLeftOut.WithLabelValues(why).Add(float64(n))
	}
}
