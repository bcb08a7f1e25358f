package apierror_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
)

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	apierror.Write(w, &apierror.Error{
		Code: code.Code_UNAVAILABLE, Reason: "AWAY", Message: "come again", RetryAfter: 1500 * time.Millisecond,
		Fields: []apierror.Field{{Field: "events", Want: "want some"}}, Cause: errors.New("secret"),
	}, false)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"error": map[string]any{
		"code": 503.0, "message": "come again", "status": "UNAVAILABLE", "details": []any{
			map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "AWAY", "domain": "homefeed"},
			map[string]any{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": []any{
				map[string]any{"field": "events", "description": "want some"}}},
			map[string]any{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestWriteProtobuf(t *testing.T) {
	w := httptest.NewRecorder()
	apierror.Write(w, apierror.NotFound("GONE", "not here"), true)
	got := new(status.Status)
	if err := proto.Unmarshal(w.Body.Bytes(), got); err != nil {
		t.Fatal(err)
	}
	if w.Code != 404 || got.Code != int32(code.Code_NOT_FOUND) || got.Message != "not here" || len(got.Details) != 1 {
		t.Errorf("%d %v", w.Code, got)
	}
}

// TestNotUTF8 holds that a text that protobuf can't carry still gets an answer in the right form.
func TestNotUTF8(t *testing.T) {
	for _, asProto := range []bool{false, true} {
		w := httptest.NewRecorder()
		apierror.Write(w, apierror.Denied("\xff", "\xff"), asProto)
		var got map[string]map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["error"]["status"] != "PERMISSION_DENIED" {
			t.Errorf("%v: %s", err, w.Body)
		}
	}
}

func TestFrom(t *testing.T) {
	own := apierror.BadRequest("X", "y")
	for _, c := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("wrapped: %w", own), 400},
		{fmt.Errorf("reading: %w", &http.MaxBytesError{Limit: 5}), 413},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), 504},
		{fmt.Errorf("reading: %w", context.Canceled), 499},
		{errors.New("disk full at /secret"), 500},
	} {
		e := apierror.From(c.err)
		if e.Status() != c.code || strings.Contains(e.Message, "secret") {
			t.Errorf("From(%v) = %d %q, want %d", c.err, e.Status(), e.Message, c.code)
		}
		if !errors.Is(e, c.err) && e != own {
			t.Errorf("From(%v) lost its cause", c.err)
		}
	}
}

// TestStatus holds the mapping to google.api.http's.
func TestStatus(t *testing.T) {
	want := map[code.Code]int{
		code.Code_OK: 500, code.Code_CANCELLED: 499, code.Code_UNKNOWN: 500, code.Code_INVALID_ARGUMENT: 400,
		code.Code_DEADLINE_EXCEEDED: 504, code.Code_NOT_FOUND: 404, code.Code_ALREADY_EXISTS: 409,
		code.Code_PERMISSION_DENIED: 403, code.Code_UNAUTHENTICATED: 401, code.Code_RESOURCE_EXHAUSTED: 429,
		code.Code_FAILED_PRECONDITION: 400, code.Code_ABORTED: 409, code.Code_OUT_OF_RANGE: 400,
		code.Code_UNIMPLEMENTED: 501, code.Code_INTERNAL: 500, code.Code_UNAVAILABLE: 503, code.Code_DATA_LOSS: 500,
	}
	for number := range code.Code_name {
		c := code.Code(number)
		if got := (&apierror.Error{Code: c}).Status(); got != want[c] {
			t.Errorf("%v: %d, want %d", c, got, want[c])
		}
	}
}
