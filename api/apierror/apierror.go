// Package apierror is how every failure leaves the API: as google.rpc.Status in the form of AIP-193. Handlers
// return errors; Write is the only place where one becomes a response.
package apierror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
)

// Domain is the ErrorInfo.domain of every error made here.
const Domain = "homefeed"

// Error is a failure as the caller sees it.
type Error struct {
	Code    code.Code // the canonical code
	Reason  string    // why, for programs: UPPER_SNAKE_CASE, stable
	Message string    // why and what would be right, for people; holds no secrets
	Fields  []Field   // what is wrong with the request, by field

	HTTP       int           // 0: what AIP-193 maps Code to
	RetryAfter time.Duration // over 0: when trying again may help
	Allow      []string      // of a 405: the methods that would work
	Challenge  string        // of a 401: the WWW-Authenticate header

	Cause error // logged, never shown

	ready [2]*ready // as JSON and as protobuf; nil: encoded when it is sent
}

// Field is one wrong field of a request and what would be right.
type Field struct{ Field, Want string }

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Status is the HTTP status code.
func (e *Error) Status() int {
	if e.HTTP != 0 {
		return e.HTTP
	}
	switch e.Code {
	case code.Code_INVALID_ARGUMENT, code.Code_FAILED_PRECONDITION, code.Code_OUT_OF_RANGE:
		return http.StatusBadRequest
	case code.Code_UNAUTHENTICATED:
		return http.StatusUnauthorized
	case code.Code_PERMISSION_DENIED:
		return http.StatusForbidden
	case code.Code_NOT_FOUND:
		return http.StatusNotFound
	case code.Code_ABORTED, code.Code_ALREADY_EXISTS:
		return http.StatusConflict
	case code.Code_RESOURCE_EXHAUSTED:
		return http.StatusTooManyRequests
	case code.Code_CANCELLED:
		return 499 // the caller went away; nobody reads it
	case code.Code_UNIMPLEMENTED:
		return http.StatusNotImplemented
	case code.Code_UNAVAILABLE:
		return http.StatusServiceUnavailable
	case code.Code_DEADLINE_EXCEEDED:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// From maps any error: an *Error is itself, a body over its limit, a deadline and a caller who went away have
// codes of their own, and everything else is INTERNAL, whose cause is not shown.
func From(err error) *Error {
	var e *Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLarge):
		return &Error{
			Code: code.Code_INVALID_ARGUMENT, HTTP: http.StatusRequestEntityTooLarge, Reason: "BODY_TOO_LARGE",
			Message: fmt.Sprintf("want a body of at most %d bytes", tooLarge.Limit), Cause: err,
		}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{
			Code: code.Code_DEADLINE_EXCEEDED, Reason: "DEADLINE_EXCEEDED",
			Message: "the request took longer than its deadline", RetryAfter: time.Second, Cause: err,
		}
	case errors.Is(err, context.Canceled):
		return &Error{Code: code.Code_CANCELLED, Reason: "CANCELLED", Message: "the caller went away", Cause: err}
	}
	return &Error{Code: code.Code_INTERNAL, Reason: "INTERNAL", Message: "internal error", Cause: err}
}

// BadRequest is INVALID_ARGUMENT with the wrong fields.
func BadRequest(reason, message string, fields ...Field) *Error {
	return &Error{Code: code.Code_INVALID_ARGUMENT, Reason: reason, Message: message, Fields: fields}
}

// NotFound is NOT_FOUND.
func NotFound(reason, message string) *Error {
	return &Error{Code: code.Code_NOT_FOUND, Reason: reason, Message: message}
}

// Denied is PERMISSION_DENIED.
func Denied(reason, message string) *Error {
	return &Error{Code: code.Code_PERMISSION_DENIED, Reason: reason, Message: message}
}

// Unavailable is UNAVAILABLE: trying the same again after a while is right.
func Unavailable(reason, message string, after time.Duration, cause error) *Error {
	return &Error{
		Code: code.Code_UNAVAILABLE, Reason: reason, Message: message, RetryAfter: after, Cause: cause,
	}
}
