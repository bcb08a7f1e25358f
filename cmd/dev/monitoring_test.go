package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"homefeed/pipeline/event"
)

// TestMonitoring holds the alerts and the dashboard in deploy/monitoring against what a process tells: every metric that
// they name is there, with every label that they pick it by.
func TestMonitoring(t *testing.T) {
	dev := newInstance(t)
	defer dev.stop()
	p := newPlayers(1)
	first := p.next()
	first.Kind, first.Object = event.Played, p.tracks[0]
	if err := dev.send(t.Context(), []event.Event{first}); err != nil {
		t.Fatal(err)
	}
	var told reading
	eventually(t, time.Minute, func() error { // what has labels is told once it has happened
		if home, err := dev.home(t.Context(), first.User); err != nil || len(home["recently_played"].GetCards()) == 0 {
			return fmt.Errorf("Home is not there yet: %w", err)
		}
		told = dev.metrics(t)
		if told.histogram("homefeed_refresh_beyond_freshness_seconds", "recently_played").GetSampleCount() == 0 {
			return fmt.Errorf("no refresh yet")
		}
		return nil
	})
	files, err := filepath.Glob("../../deploy/monitoring/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v: want the files of deploy/monitoring", files, err)
	}
	names := regexp.MustCompile(`homefeed_[a-z0-9_]+(\{[a-z_]+)?`)
	grouped := regexp.MustCompile(`by \(([a-z_, ]+)\) \(rate\((homefeed_[a-z0-9_]+)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range names.FindAllString(string(text), -1) {
			name, label, _ := strings.Cut(found, "{")
			if !told.has(name, label) {
				t.Errorf("%s: no metric %s with label %q", filepath.Base(file), name, label)
			}
		}
		for _, found := range grouped.FindAllStringSubmatch(string(text), -1) {
			for label := range strings.SplitSeq(found[1], ", ") {
				if !told.has(found[2], label) {
					t.Errorf("%s: metric %s has no label %q", filepath.Base(file), found[2], label)
				}
			}
		}
	}
}

// has looks for a metric, or a histogram of which name is a part.
func (r reading) has(name, label string) bool {
	for _, part := range []string{"", "_bucket", "_count", "_sum"} {
		family := r[strings.TrimSuffix(name, part)]
		if family == nil || part != "" && !strings.HasSuffix(name, part) {
			continue
		}
		if label == "" || label == "le" && part == "_bucket" {
			return true
		}
		for _, l := range family.GetMetric()[0].GetLabel() {
			if l.GetName() == label {
				return true
			}
		}
	}
	return false
}
