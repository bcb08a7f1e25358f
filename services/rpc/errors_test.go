package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/services/rpc"
)

// TestErrors sends each error through a server and a connection.
func TestErrors(t *testing.T) {
	upstream := func(c codes.Code) error { return fmt.Errorf("reading the table: %w", status.Error(c, "no")) }
	for _, test := range []struct {
		name string
		err  error
		code codes.Code
		is   error // nil: none of ours
	}{
		{"none", nil, codes.OK, nil},
		{"not found", fmt.Errorf("track: %w", rpc.ErrNotFound), codes.NotFound, rpc.ErrNotFound},
		{"unavailable", fmt.Errorf("model: %w", rpc.ErrUnavailable), codes.Unavailable, rpc.ErrUnavailable},
		{"busy", rpc.ErrBusy, codes.ResourceExhausted, rpc.ErrBusy},
		{"deadline", fmt.Errorf("scanning: %w", context.DeadlineExceeded), codes.DeadlineExceeded, context.DeadlineExceeded},
		{"cancelled", context.Canceled, codes.Canceled, context.Canceled},
		{"unknown", errors.New("disk on fire"), codes.Internal, nil},
		{"a status of the handler's own", status.Error(codes.FailedPrecondition, "no model"), codes.FailedPrecondition, nil},
		{"upstream refused us", upstream(codes.InvalidArgument), codes.Internal, nil},
		{"upstream lacks it", upstream(codes.NotFound), codes.Internal, nil},
		{"upstream is away", upstream(codes.Unavailable), codes.Unavailable, rpc.ErrUnavailable},
		{"upstream is busy", upstream(codes.ResourceExhausted), codes.Unavailable, rpc.ErrUnavailable},
		{"upstream is slow", upstream(codes.DeadlineExceeded), codes.DeadlineExceeded, context.DeadlineExceeded},
	} {
		for name, connect := range both {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				t.Parallel() // retries pause
				conn := connect(t, rpc.ServerOptions{}, rpc.DialOptions{}, func(context.Context) error { return test.err })
				err := call(t.Context(), conn)
				if got := status.Code(err); got != test.code {
					t.Fatalf("code %s, want %s: %v", got, test.code, err)
				}
				if test.err != nil && !strings.Contains(err.Error(), status.Convert(test.err).Message()) {
					t.Errorf("%q doesn't say %q", err, test.err)
				}
				for _, sentinel := range []error{rpc.ErrNotFound, rpc.ErrUnavailable, rpc.ErrBusy, context.DeadlineExceeded, context.Canceled} {
					if got, want := errors.Is(err, sentinel), sentinel == test.is; got != want {
						t.Errorf("errors.Is(%v, %v) is %t", err, sentinel, got)
					}
				}
			})
		}
	}
}

// TestFieldError goes through one server, and then through two: the second one's caller is not to blame.
func TestFieldError(t *testing.T) {
	inner := inProcess(t, rpc.ServerOptions{}, rpc.DialOptions{}, func(context.Context) error {
		return fmt.Errorf("listing plays: %w", rpc.Invalid("page_size", "want 0 or more"))
	})
	err := call(t.Context(), inner)
	var field *rpc.FieldError
	if status.Code(err) != codes.InvalidArgument || !errors.As(err, &field) {
		t.Fatalf("%v: want INVALID_ARGUMENT with a FieldError", err)
	}
	if want := (rpc.FieldError{Field: "page_size", Want: "want 0 or more"}); *field != want {
		t.Errorf("got %+v, want %+v", *field, want)
	}

	for name, wrap := range map[string]func(error) error{
		"as it came": func(err error) error { return err },
		"wrapped":    func(err error) error { return fmt.Errorf("asking for plays: %w", err) },
	} {
		outer := inProcess(t, rpc.ServerOptions{}, rpc.DialOptions{}, func(ctx context.Context) error {
			return wrap(call(ctx, inner))
		})
		if err := call(t.Context(), outer); status.Code(err) != codes.Internal || errors.As(err, new(*rpc.FieldError)) {
			t.Errorf("%s, through another server: %v; want INTERNAL without a FieldError", name, err)
		}
	}
}

// TestFieldThatIsNotText: a detail can't carry it; the code still arrives.
func TestFieldThatIsNotText(t *testing.T) {
	conn := inProcess(t, rpc.ServerOptions{}, rpc.DialOptions{}, func(context.Context) error {
		return rpc.Invalid("\xff", "want text")
	})
	if err := call(t.Context(), conn); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v: want INVALID_ARGUMENT", err)
	}
}
