package local_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/local"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config(t)
		registry := prometheus.NewPedanticRegistry()
		cfg.Registerer = registry
		if err := w.log.Append(makeEvents(rand.New(rand.NewPCG(7, 7)), 100, 3, time.Second)...); err != nil {
			t.Fatal(err)
		}
		w.log.AppendRaw(event.Played.Topic(), bus.Message{Data: []byte("garbage")})
		stop := start(t, cfg)
		<-time.After(time.Hour) // until plays are forgotten
		err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP homefeed_pipeline_events_decided_total Events that the refresh policy has taken.
# TYPE homefeed_pipeline_events_decided_total counter
homefeed_pipeline_events_decided_total 100
# HELP homefeed_pipeline_events_read_total Messages read from the log.
# TYPE homefeed_pipeline_events_read_total counter
homefeed_pipeline_events_read_total 101
# HELP homefeed_pipeline_dead_letters_total Messages that no stage could use, by the stage that said so.
# TYPE homefeed_pipeline_dead_letters_total counter
homefeed_pipeline_dead_letters_total{stage="decode"} 1
homefeed_pipeline_dead_letters_total{stage="record"} 0
# HELP homefeed_pipeline_floor_lag_positions How far the log's floor is behind the last position passed on.
# TYPE homefeed_pipeline_floor_lag_positions gauge
homefeed_pipeline_floor_lag_positions 0
# HELP homefeed_pipeline_watermark_lag_seconds How far the watermark is behind the clock; 0 when everything is passed on.
# TYPE homefeed_pipeline_watermark_lag_seconds gauge
homefeed_pipeline_watermark_lag_seconds 0
# HELP homefeed_pipeline_timers_count Listeners with something unserved or remembered.
# TYPE homefeed_pipeline_timers_count gauge
homefeed_pipeline_timers_count 0
`), "homefeed_pipeline_events_decided_total", "homefeed_pipeline_events_read_total", "homefeed_pipeline_dead_letters_total",
			"homefeed_pipeline_floor_lag_positions", "homefeed_pipeline_watermark_lag_seconds", "homefeed_pipeline_timers_count")
		if err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	tests := map[string]func(*local.Config){
		"Log":       func(c *local.Config) { c.Log = nil },
		"Publisher": func(c *local.Config) { c.Publisher = nil },
		"Recorder":  func(c *local.Config) { c.Recorder = nil },
		"Policy":    func(c *local.Config) { c.Policy = nil },
		"Shards":    func(c *local.Config) { c.Shards = -1 },
		"Every":     func(c *local.Config) { w := *c.Trends; w.Every = -1; c.Trends = &w },
	}
	for field, spoil := range tests {
		t.Run(field, func(t *testing.T) {
			cfg := w.config(t)
			spoil(&cfg)
			if _, err := local.New(cfg); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("New: error %v: want one that names %s", err, field)
			}
		})
	}
}

func TestUnusableDirIsAnError(t *testing.T) {
	w := newWorld(t)
	cfg := w.config(t)
	cfg.Dir = filepath.Join(w.dir, "file")
	if err := os.WriteFile(cfg.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := local.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); err == nil {
		t.Error("Run with a file for a directory: want an error, got nil")
	}
}
