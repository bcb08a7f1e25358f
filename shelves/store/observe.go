package store

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Observe returns s with its calls counted and timed:
//
//	homefeed_store_call_seconds{operation}            histogram, failed calls too
//	homefeed_store_errors_total{operation, reason}    reason is cancelled, deadline or failed
//
// operation is read, write or delete. A nil registerer registers nothing. Where the metrics are registered
// already, as by a second store in the process, both count in the same ones; a registerer that refuses them
// for another reason panics here, at start, as prometheus' own MustRegister does.
func Observe(s Store, reg prometheus.Registerer) Store {
	o := &observed{
		Store: s,
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "homefeed_store_call_seconds",
			Help:    "How long calls of the row store took.",
			Buckets: prometheus.ExponentialBuckets(25e-6, 2.5, 14), // 25 µs to 3.7 s
		}, []string{"operation"})),
		errs: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homefeed_store_errors_total",
			Help: "Calls of the row store that failed.",
		}, []string{"operation", "reason"})),
	}
	for _, operation := range []string{"read", "write", "delete"} {
		for _, reason := range []string{"cancelled", "deadline", "failed"} {
			o.errs.WithLabelValues(operation, reason) // so that a rate has a zero to start from
		}
	}
	return o
}

// register returns c, or the one that is registered in its place.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		if there, ok := already.ExistingCollector.(C); ok {
			return there
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}

type observed struct {
	Store   // for Close
	seconds *prometheus.HistogramVec
	errs    *prometheus.CounterVec
}

func (o *observed) count(operation string, start time.Time, err error) {
	o.seconds.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		o.errs.WithLabelValues(operation, "cancelled").Inc()
	case errors.Is(err, context.DeadlineExceeded):
		o.errs.WithLabelValues(operation, "deadline").Inc()
	default:
		o.errs.WithLabelValues(operation, "failed").Inc()
	}
}

func (o *observed) Write(ctx context.Context, key Key, cells ...Cell) error {
	start := time.Now()
	err := o.Store.Write(ctx, key, cells...)
	o.count("write", start, err)
	return err
}

func (o *observed) Read(ctx context.Context, key Key, versions int) (Row, error) {
	start := time.Now()
	row, err := o.Store.Read(ctx, key, versions)
	o.count("read", start, err)
	return row, err
}

// Outline counts as a read.
func (o *observed) Outline(ctx context.Context, key Key) (Row, error) {
	start := time.Now()
	row, err := Outline(ctx, o.Store, key)
	o.count("read", start, err)
	return row, err
}

// View times the store and not see.
func (o *observed) View(ctx context.Context, key Key, versions int, see func(Row)) error {
	start, seen := time.Now(), false
	err := View(ctx, o.Store, key, versions, func(row Row) {
		o.count("read", start, nil)
		seen = true
		see(row)
	})
	if !seen {
		o.count("read", start, err)
	}
	return err
}

func (o *observed) Delete(ctx context.Context, key Key, at time.Time) error {
	start := time.Now()
	err := o.Store.Delete(ctx, key, at)
	o.count("delete", start, err)
	return err
}
