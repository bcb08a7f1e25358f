package modelfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Reason is why a file is not taken as a model, as metrics tell it; the error says it in full.
type Reason string

// The reasons, and no others.
const (
	Unreadable Reason = "unreadable" // there is no file, or the system doesn't give it
	Unknown    Reason = "unknown"    // it is something else, or of another version of the format
	Truncated  Reason = "truncated"  // it ends before, or behind, where it says that it does
	Damaged    Reason = "damaged"    // a checksum is wrong
	Invalid    Reason = "invalid"    // it says what no model may, such as a vector with NaN
)

// Reasons are all of them.
var Reasons = [...]Reason{Unreadable, Unknown, Truncated, Damaged, Invalid}

// refusal is an error with its reason.
type refusal struct {
	reason Reason
	err    error
}

func refuse(r Reason, format string, args ...any) error {
	return &refusal{r, fmt.Errorf(format, args...)}
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// ReasonOf is the reason of an error of Open or Load.
func ReasonOf(err error) Reason {
	var r *refusal
	var system *fs.PathError
	switch {
	case errors.As(err, &r):
		return r.reason
	case errors.As(err, &system):
		return Unreadable
	case errors.Is(err, io.ErrUnexpectedEOF): // of vectors' formats, or of gzip
		return Truncated
	}
	return Invalid
}
