package rpc

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// FieldError says which field of a request is wrong and what would be right. It travels as INVALID_ARGUMENT with
// a google.rpc.BadRequest, and errors.As finds it again on the client's side.
type FieldError struct {
	Field string // the path in the request message: "page_size", "actions[3].user"
	Want  string // what would be right
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Want }

// Invalid is a *FieldError.
func Invalid(field, want string) error { return &FieldError{Field: field, Want: want} }

// What a handler wraps to say which code its caller gets, and what errors.Is finds on the client's side.
var (
	// ErrNotFound is NOT_FOUND: what was asked for does not exist, and asking again won't help.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable is UNAVAILABLE: something that the answer needs is away; Dial's connections try again.
	ErrUnavailable = errors.New("unavailable")
	// ErrBusy is RESOURCE_EXHAUSTED: the server does as much as it may. It is not tried again at once.
	ErrBusy = errors.New("busy")
)

// Error is the one mapping from what a handler returns to what its caller gets; NewServer applies it, so handlers
// return plain errors:
//
//   - a status made with status.Error is passed on as it is, details and all;
//   - a wrapped status came from somebody that the handler called. It is not the caller's business that they
//     refused us, so it becomes INTERNAL, unless it says to try later or that time is up;
//   - FieldError, ErrNotFound, ErrUnavailable and ErrBusy, wrapped or not, become the codes they name;
//   - context.DeadlineExceeded and context.Canceled become DEADLINE_EXCEEDED and CANCELLED;
//   - anything else is INTERNAL.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var inner statusError
	if errors.As(err, &inner) {
		_, made := err.(statusError)
		if _, called := err.(*callError); made && !called {
			return err
		}
		return status.Error(passedOn(inner.GRPCStatus().Code()), err.Error())
	}
	var field *FieldError
	if errors.As(err, &field) {
		s, detailErr := status.New(codes.InvalidArgument, err.Error()).WithDetails(&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field.Field, Description: field.Want}},
		})
		if detailErr != nil { // only if the detail can't be encoded: a string that is not UTF-8
			return status.Error(codes.InvalidArgument, err.Error())
		}
		return s.Err()
	}
	return status.Error(codeOf(err), err.Error())
}

// statusError is what status.Error makes, and everything else that can say its status.
type statusError interface {
	error
	GRPCStatus() *status.Status
}

func codeOf(err error) codes.Code {
	switch {
	case errors.Is(err, ErrNotFound):
		return codes.NotFound
	case errors.Is(err, ErrUnavailable):
		return codes.Unavailable
	case errors.Is(err, ErrBusy):
		return codes.ResourceExhausted
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return codes.Internal
}

// passedOn is what a failed call of the handler's own means to the handler's caller.
func passedOn(c codes.Code) codes.Code {
	switch c {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted:
		return codes.Unavailable
	case codes.DeadlineExceeded, codes.Canceled:
		return c
	}
	return codes.Internal
}

// callError is a failed call as Dial's connections return it: the status, and what Error made the status from,
// so that the caller needs to know neither codes nor details.
type callError struct {
	status *status.Status
	cause  error // nil if the code stands for none of ours
}

func (e *callError) Error() string              { return e.status.Err().Error() }
func (e *callError) GRPCStatus() *status.Status { return e.status }
func (e *callError) Unwrap() error              { return e.cause }

// called makes a callError of what a call returned.
func called(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	e := &callError{status: s}
	switch s.Code() {
	case codes.InvalidArgument:
		for _, d := range s.Details() {
			if bad, ok := d.(*errdetails.BadRequest); ok && len(bad.FieldViolations) > 0 {
				v := bad.FieldViolations[0]
				e.cause = &FieldError{Field: v.Field, Want: v.Description}
			}
		}
	case codes.NotFound:
		e.cause = ErrNotFound
	case codes.Unavailable:
		e.cause = ErrUnavailable
	case codes.ResourceExhausted:
		e.cause = ErrBusy
	case codes.DeadlineExceeded:
		e.cause = context.DeadlineExceeded
	case codes.Canceled:
		e.cause = context.Canceled
	}
	return e
}
