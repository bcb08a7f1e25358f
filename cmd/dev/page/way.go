package page

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// hop is one step of the way, with what has come through it so far.
type hop struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Count *int64 `json:"count"` // null: nobody counts it in this process
}

// latency is how long a shelf takes from an event to the row that shows it, in all rows so far. The page shows what has
// come since it was opened: a log that was replayed before is of long ago.
type latency struct {
	Shelf   string   `json:"shelf"`
	Buckets []bucket `json:"buckets"` // the last one is of any time
}

// bucket is how many rows took up to Seconds.
type bucket struct {
	Seconds float64 `json:"seconds"`
	Rows    uint64  `json:"rows"`
}

// steps says which metric counts which hop; value, where set, is the one label value that counts.
var steps = [...]struct{ name, what, metric, value string }{
	{"Event", "accepted by POST /v1/events", "homefeed_api_events_accepted_total", ""},
	{"Recorded", "plays, follows and hearts kept", "homefeed_pipeline_events_recorded_total", ""},
	{"Activity", "taken by the refresh policy", "homefeed_pipeline_events_decided_total", ""},
	{"Trigger", "refreshes asked for", "homefeed_pipeline_published_total", "refresh-triggers"},
	{"Cards", "shelf functions run", "homefeed_refresh_fill_seconds", ""},
	{"Row", "rows written", "homefeed_refresh_write_seconds", ""},
	{"Home", "read by GET /v1/home", "homefeed_api_requests_total", "/v1/home"},
}

const visibleMetric = "homefeed_refresh_event_to_visible_seconds"

type way struct {
	Hops    []hop     `json:"hops"`
	Visible []latency `json:"visible"`
}

// wayOf sums up the metrics that the page shows.
func wayOf(g prometheus.Gatherer) (way, error) {
	gathered, err := g.Gather()
	if err != nil {
		return way{}, fmt.Errorf("gathering metrics: %w", err)
	}
	families := make(map[string]*dto.MetricFamily, len(gathered))
	for _, f := range gathered {
		families[f.GetName()] = f
	}
	w := way{Hops: make([]hop, len(steps)), Visible: []latency{}}
	for i, s := range steps {
		w.Hops[i] = hop{Name: s.name, What: s.what}
		if f := families[s.metric]; f != nil {
			n := count(f, s.value)
			w.Hops[i].Count = &n
		}
	}
	for _, m := range families[visibleMetric].GetMetric() {
		h := m.GetHistogram()
		if h.GetSampleCount() == 0 || len(m.GetLabel()) == 0 {
			continue
		}
		w.Visible = append(w.Visible, latency{Shelf: m.GetLabel()[0].GetValue(), Buckets: bucketsOf(h)})
	}
	slices.SortFunc(w.Visible, func(a, b latency) int { return strings.Compare(a.Shelf, b.Shelf) })
	return w, nil
}

// count adds up counters and histograms' samples, of one label value if that is given.
func count(f *dto.MetricFamily, value string) int64 {
	var sum float64
	for _, m := range f.GetMetric() {
		if value != "" && !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == value }) {
			continue
		}
		sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return int64(sum)
}

// bucketsOf leaves out a last bound of infinity, which JSON doesn't know: the last bucket has its rows.
func bucketsOf(h *dto.Histogram) []bucket {
	var all []bucket
	for _, b := range h.GetBucket() {
		if !math.IsInf(b.GetUpperBound(), 1) {
			all = append(all, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
		}
	}
	if len(all) > 0 {
		all[len(all)-1].Rows = h.GetSampleCount()
	}
	return all
}
