package cms_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homefeed/api/cms"
)

// TestFollow publishes through the follower's own Desk and through another, while the log is away and when a version
// can't be shown.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		log := &memory{}
		reg := prometheus.NewRegistry()
		here, err := cms.NewDesk(cms.Config{Log: log, Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := desk(t, log)
		publish := func(d *cms.Desk, shelf string, number int64) {
			t.Helper()
			draft, err := d.CreateDraft(ctx, "ann", shelf, number-1, document(shelf))
			if err == nil {
				_, err = d.Publish(ctx, "ann", draft.ID, draft.Etag(), number-1)
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		var mu sync.Mutex
		var shown []string
		ended := make(chan error)
		go func() {
			ended <- here.Follow(ctx, 2*time.Second, func(v cms.Version) error {
				if v.Placements.Shelves[0].Shelf == "unknown" {
					return errors.New("no such shelf")
				}
				mu.Lock()
				defer mu.Unlock()
				shown = append(shown, v.Placements.Shelves[0].Shelf)
				return nil
			})
		}()
		expect := func(want ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, shown); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		synctest.Wait()
		expect()
		publish(here, "one", 1)
		expect("one") // at once
		publish(elsewhere, "two", 2)
		expect("one")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect("one", "two")

		publish(elsewhere, "unknown", 3)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		expect("one", "two")
		log.fail(errors.New("no route"))
		time.Sleep(6 * time.Second)
		log.fail(nil)
		publish(elsewhere, "four", 4)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect("one", "two", "four")
		if got := testutil.ToFloat64(gauge(t, reg)); got != 4 {
			t.Errorf("the metric says version %v", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// gauge is the version's metric as a collector, for testutil.
func gauge(t *testing.T, reg *prometheus.Registry) prometheus.Gauge {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "copy"})
	for _, f := range families {
		if f.GetName() == "homefeed_cms_version" {
			g.Set(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return g
}
