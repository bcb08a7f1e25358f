package edge

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
)

// The media types.
const (
	TypeJSON     = "application/json"
	TypeProtobuf = "application/x-protobuf"
)

// Header is a header's line whose value all responses share, which saves Set's allocations. Its name is canonical.
type Header struct {
	Name  string
	Value []string
}

// safeHeaders keep browsers from making anything of an answer but data. With what Home adds there are eight, which is
// as many as the map of a response's headers holds before it grows.
func safeHeaders() []Header {
	return []Header{
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	}
}

// Get is the first value of a request's header, whose name must be canonical: http.Header's makes sure of that each time.
func Get(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// IsProtobuf knows the names that protobuf goes by.
func IsProtobuf(mediaType string) bool {
	return mediaType == TypeProtobuf || mediaType == "application/protobuf"
}

// WantsProtobuf reads Accept: protobuf if it is asked for at least as much as JSON, which is what everybody else gets.
func WantsProtobuf(r *http.Request) bool {
	accept := Get(r, "Accept")
	switch {
	case accept == TypeProtobuf:
		return true
	case accept == "" || accept == TypeJSON || !strings.Contains(accept, "protobuf"):
		return false
	}
	var protobuf, json float64
	for one := range strings.SplitSeq(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				q = 0
			}
		}
		switch {
		case IsProtobuf(mediaType):
			protobuf = max(protobuf, q)
		case mediaType == TypeJSON:
			json = max(json, q)
		}
	}
	return protobuf > 0 && protobuf >= json
}

// Matches reads If-None-Match: whether the client has what the ETag is of.
func Matches(header, etag string) bool {
	if header == "" || etag == "" {
		return false
	}
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// MaxBody is the largest body of a request.
const MaxBody = 1 << 20

// ReadBody reads at most MaxBody. The memory is the request's own: messages share it.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, &http.MaxBytesError{Limit: MaxBody}
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, &apierror.Error{
			Code: code.Code_INVALID_ARGUMENT, Reason: "BODY_INCOMPLETE", Message: "the body could not be read", Cause: err,
		}
	}
	return body.Bytes(), nil
}

// WriteBody drops errors of writing: the caller went away, and the answer was all there was to do for them.
func WriteBody(w http.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
