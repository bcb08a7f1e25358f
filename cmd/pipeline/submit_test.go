package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// dryRun runs the program to its end and returns what it wrote to stdout, and its log's messages.
func dryRun(t *testing.T, args ...string) (stdout []byte, messages []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = []string{asProgram + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errOut.Bytes())
	}
	for line := range bytes.Lines(errOut.Bytes()) {
		var record struct{ Msg string }
		if json.Unmarshal(line, &record) == nil {
			messages = append(messages, record.Msg)
		}
	}
	return out.Bytes(), messages
}

// compare holds got to a golden file; -golden writes it anew.
func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *golden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; if that is meant, run the test with -golden (-want +got):\n%s", file, diff)
	}
}

// volatile is what differs from run to run and from machine to machine.
var volatile = regexp.MustCompile(`go-1-\d+|"pipelineProtoHash": "[0-9a-f]+"|beam_go_sdk:[0-9.]+|"version": "[0-9.]+"`)

func TestDataflowJob(t *testing.T) {
	_, messages := dryRun(t, "-runner", "dataflow", "-bus", "pubsub://some-project", "-songsplayed", "songsplayed:8081", "-plaintext",
		"-region", "europe-west1", "-staging_location", "gs://some-bucket/staging", "-dry_run")
	var job string
	var model pipepb.Pipeline
	for _, m := range messages {
		switch {
		case strings.HasPrefix(m, "{"):
			job = m
		case strings.HasPrefix(m, "components:"):
			if err := prototext.Unmarshal([]byte(m), &model); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !strings.Contains(job, `"type": "JOB_TYPE_STREAMING"`) {
		t.Errorf("the job is not a streaming one:\n%s", job)
	}
	job = volatile.ReplaceAllStringFunc(inOrder(t, job), func(s string) string {
		return regexp.MustCompile(`[0-9a-f.]*\d[0-9a-f.]*`).ReplaceAllString(s, "…")
	})
	compare(t, "dataflow.golden", describe(t, &model)+"\n"+job+"\n")
}

// inOrder is the job with its options for display in the order of their names: Dataflow's client takes them from a map.
func inOrder(t *testing.T, job string) string {
	t.Helper()
	var j map[string]any
	if err := json.Unmarshal([]byte(job), &j); err != nil {
		t.Fatal(err)
	}
	options := j["environment"].(map[string]any)["sdkPipelineOptions"].(map[string]any)
	slices.SortFunc(options["display_data"].([]any), func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	out, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What Beam's Flink runner can't do for the Go SDK is not used.
func TestFlinkJob(t *testing.T) {
	out, _ := dryRun(t, "-runner", "flink", "-bus", "pubsub://some-project", "-songsplayed", "songsplayed:8081", "-dry_run")
	var model pipepb.Pipeline
	if err := protojson.Unmarshal(out, &model); err != nil {
		t.Fatal(err)
	}
	for id, env := range model.GetComponents().GetEnvironments() {
		if env.GetUrn() != "beam:env:process:v1" {
			t.Errorf("environment %s is %s, want a process", id, env.GetUrn())
		}
	}
	splittable, stateful := 0, 0
	for _, tr := range model.GetComponents().GetTransforms() {
		if strings.HasPrefix(tr.GetSpec().GetUrn(), "beam:transform:pubsub") {
			t.Errorf("%s: %s is for Dataflow only", tr.GetUniqueName(), tr.GetSpec().GetUrn())
		}
		do := parDo(t, tr)
		if do == nil {
			continue
		}
		if do.GetRestrictionCoderId() != "" {
			splittable++
		}
		if do.GetRequestsFinalization() {
			t.Errorf("%s asks for bundle finalization", tr.GetUniqueName())
		}
		for id, state := range do.GetStateSpecs() {
			stateful++
			if state.GetBagSpec() == nil && state.GetReadModifyWriteSpec() == nil {
				t.Errorf("%s: state %s is neither a bag nor a value", tr.GetUniqueName(), id)
			}
		}
		for id, timer := range do.GetTimerFamilySpecs() {
			if timer.GetTimeDomain() != pipepb.TimeDomain_EVENT_TIME {
				t.Errorf("%s: timer %s is in %s", tr.GetUniqueName(), id, timer.GetTimeDomain())
			}
		}
	}
	if splittable != 1 || stateful != 1 {
		t.Errorf("%d splittable DoFns and %d state cells, want one of each", splittable, stateful)
	}
	for _, w := range model.GetComponents().GetWindowingStrategies() {
		if w.GetMergeStatus() != pipepb.MergeStatus_NON_MERGING {
			t.Errorf("windows of %s merge", w.GetWindowFn().GetUrn())
		}
	}
	compare(t, "flink.golden", describe(t, &model))
}

func parDo(t *testing.T, tr *pipepb.PTransform) *pipepb.ParDoPayload {
	t.Helper()
	if tr.GetSpec().GetUrn() != "beam:transform:pardo:v1" {
		return nil
	}
	var do pipepb.ParDoPayload
	if err := proto.Unmarshal(tr.GetSpec().GetPayload(), &do); err != nil {
		t.Fatal(err)
	}
	return &do
}

// describe is what matters of a pipeline: each step with what it asks of its runner, and how it is windowed.
func describe(t *testing.T, model *pipepb.Pipeline) string {
	t.Helper()
	c := model.GetComponents()
	var lines []string
	for _, tr := range c.GetTransforms() {
		if tr.GetSpec().GetUrn() == "" {
			continue // a composite
		}
		line := tr.GetUniqueName() + ": " + strings.TrimPrefix(tr.GetSpec().GetUrn(), "beam:transform:") + asks(t, tr)
		for _, id := range tr.GetOutputs() {
			col := c.GetPcollections()[id]
			w := c.GetWindowingStrategies()[col.GetWindowingStrategyId()]
			line += fmt.Sprintf("\n\t→ %s, %s, %s", strings.ToLower(col.GetIsBounded().String()), windowing(w), lateness(w))
			break // all are alike
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func asks(t *testing.T, tr *pipepb.PTransform) (asks string) {
	t.Helper()
	payload := tr.GetSpec().GetPayload()
	switch tr.GetSpec().GetUrn() {
	case "beam:transform:pubsub_read:v1":
		var p pipepb.PubSubReadPayload
		if err := proto.Unmarshal(payload, &p); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(" of %s, time from %q, id from %q", p.GetSubscription(), p.GetTimestampAttribute(), p.GetIdAttribute())
	case "beam:transform:pubsub_write:v1":
		var p pipepb.PubSubWritePayload
		if err := proto.Unmarshal(payload, &p); err != nil {
			t.Fatal(err)
		}
		return " to " + p.GetTopic()
	}
	do := parDo(t, tr)
	if do == nil {
		return ""
	}
	if do.GetRestrictionCoderId() != "" {
		asks += ", splittable"
	}
	for id, s := range do.GetStateSpecs() {
		asks += fmt.Sprintf(", state %q in %s", id, s.GetProtocol().GetUrn())
	}
	for id, f := range do.GetTimerFamilySpecs() {
		asks += fmt.Sprintf(", timer %q in %s", id, f.GetTimeDomain())
	}
	return asks
}

func windowing(w *pipepb.WindowingStrategy) string {
	name := strings.TrimPrefix(w.GetWindowFn().GetUrn(), "beam:window_fn:")
	switch name {
	case "fixed_windows:v1":
		var p pipepb.FixedWindowsPayload
		if proto.Unmarshal(w.GetWindowFn().GetPayload(), &p) == nil {
			return fmt.Sprintf("windows of %v", p.GetSize().AsDuration())
		}
	case "sliding_windows:v1":
		var p pipepb.SlidingWindowsPayload
		if proto.Unmarshal(w.GetWindowFn().GetPayload(), &p) == nil {
			return fmt.Sprintf("windows of %v every %v", p.GetSize().AsDuration(), p.GetPeriod().AsDuration())
		}
	}
	return name
}

func lateness(w *pipepb.WindowingStrategy) string {
	return fmt.Sprintf("%d ms late, %s", w.GetAllowedLateness(), strings.ToLower(w.GetAccumulationMode().String()))
}
