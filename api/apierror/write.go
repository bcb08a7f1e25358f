package apierror

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Write answers with e: as google.rpc.Status when asProto, else as AIP-193's {"error":{…}}. Errors of writing are
// the connection's and are dropped: there is nobody left to tell.
func Write(w http.ResponseWriter, e *Error, asProto bool) {
	ready := e.ready[form(asProto)]
	if ready == nil {
		ready = encodeReady(e, asProto)
	}
	maps.Copy(w.Header(), ready.headers)
	w.WriteHeader(e.Status())
	_, _ = w.Write(ready.body)
}

// ready is an encoded error with its headers.
type ready struct {
	body    []byte
	headers http.Header
}

// form is the index of a ready error.
func form(asProto bool) int {
	if asProto {
		return 1
	}
	return 0
}

func encodeReady(e *Error, asProto bool) *ready {
	body, kind := encode(e, asProto)
	h := http.Header{"Content-Type": {kind}, "Content-Length": {strconv.Itoa(len(body))}, "Cache-Control": {"no-store"}}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if len(e.Allow) > 0 {
		h.Set("Allow", strings.Join(e.Allow, ", "))
	}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	return &ready{body, h}
}

// Ready encodes the error once, for one that is sent often and never changes again. It returns e.
func (e *Error) Ready() *Error {
	for _, asProto := range []bool{false, true} {
		e.ready[form(asProto)] = encodeReady(e, asProto)
	}
	return e
}

// encode falls back to a body made by hand if a message can't be encoded, such as a text that isn't UTF-8.
func encode(e *Error, asProto bool) (body []byte, contentType string) {
	details, err := e.details()
	if err == nil && asProto {
		body, err = proto.Marshal(&status.Status{Code: int32(e.Code), Message: e.Message, Details: details})
		contentType = "application/x-protobuf"
	} else if err == nil {
		body, err = e.json(details)
		contentType = "application/json"
	}
	if err != nil {
		return fmt.Appendf(nil, `{"error":{"code":%d,"message":"","status":%q,"details":[]}}`,
			e.Status(), e.Code.String()), "application/json"
	}
	return body, contentType
}

// Details is ErrorInfo always, and BadRequest and RetryInfo where they say something.
func (e *Error) Details() []proto.Message {
	messages := []proto.Message{&errdetails.ErrorInfo{Reason: e.Reason, Domain: Domain}}
	if len(e.Fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, f := range e.Fields {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: f.Field, Description: f.Want})
		}
		messages = append(messages, bad)
	}
	if e.RetryAfter > 0 {
		messages = append(messages, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter.Round(time.Millisecond))})
	}
	return messages
}

func (e *Error) details() ([]*anypb.Any, error) {
	messages := e.Details()
	details := make([]*anypb.Any, len(messages))
	for i, m := range messages {
		any, err := anypb.New(m)
		if err != nil {
			return nil, fmt.Errorf("encoding the error's detail: %w", err)
		}
		details[i] = any
	}
	return details, nil
}

func (e *Error) json(details []*anypb.Any) ([]byte, error) {
	type inner struct {
		Code    int               `json:"code"` // HTTP's, as AIP-193 has it
		Message string            `json:"message"`
		Status  string            `json:"status"`
		Details []json.RawMessage `json:"details"`
	}
	out := inner{Code: e.Status(), Message: e.Message, Status: e.Code.String()}
	for _, d := range details {
		b, err := protojson.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("encoding the error's detail: %w", err)
		}
		out.Details = append(out.Details, b)
	}
	return json.Marshal(map[string]inner{"error": out})
}
