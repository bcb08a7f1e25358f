// Package homegrpc is Home over gRPC. A call becomes the request of HTTP that asks for the same, answered by the same
// handler: so who may come, how often, what is shown and what is said when something is wrong can't differ. The answer
// is protobuf already, and is sent as it is.
package homegrpc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"homefeed/api/edge"
	"homefeed/api/homepb"
	"homefeed/services/rpc"
)

// Register makes r, an *rpc.Server, answer homefeed.home.v1.Homes with what api answers to GET /v1/home and to
// GET /v1/home/shelves/{shelf}.
func Register(r grpc.ServiceRegistrar, api http.Handler) {
	desc := homepb.Homes_ServiceDesc
	desc.HandlerType = (*http.Handler)(nil)
	desc.Methods = []grpc.MethodDesc{
		method(homepb.Homes_GetHome_FullMethodName, homeAddress),
		method(homepb.Homes_GetShelf_FullMethodName, shelfAddress),
	}
	r.RegisterService(&desc, api)
}

// method is not the generated one, which would have an answer be a message.
func method[R any, Request interface {
	*R
	proto.Message
}](name string, address func(Request) *url.URL) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name[strings.LastIndexByte(name, '/')+1:],
		Handler: func(api any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
			req := Request(new(R))
			if err := decode(req); err != nil {
				return nil, err
			}
			handler := func(ctx context.Context, _ any) (any, error) { return ask(ctx, api.(http.Handler), address(req)) }
			return around(ctx, req, &grpc.UnaryServerInfo{Server: api, FullMethod: name}, handler)
		},
	}
}

func homeAddress(r *homepb.GetHomeRequest) *url.URL {
	q := place(r)
	setSize(q, "page_size", r.GetPageSize())
	setSize(q, "card_size", r.GetCardSize())
	return &url.URL{Path: "/v1/home", RawQuery: q.Encode()}
}

func shelfAddress(r *homepb.GetShelfRequest) *url.URL {
	q := place(r)
	setSize(q, "page_size", r.GetPageSize())
	name := r.GetShelf()
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || name == "" {
		name = "-" // no shelf's, as what would mean something in a path is none
	}
	return &url.URL{Path: "/v1/home/shelves/" + name, RawQuery: q.Encode()}
}

// place is what both requests have.
func place(r interface {
	GetMarket() string
	GetLocale() string
	GetPlatform() string
	GetView() homepb.View
	GetPageToken() string
}) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"market": r.GetMarket(), "locale": r.GetLocale(), "platform": r.GetPlatform(), "page_token": r.GetPageToken(),
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if v := r.GetView(); v != homepb.View_VIEW_UNSPECIFIED {
		q.Set("view", v.String()) // a number for one that isn't known, which is refused
	}
	return q
}

func setSize(q url.Values, name string, n int32) {
	if n != 0 {
		q.Set(name, strconv.Itoa(int(n)))
	}
}

// ask is the handler's answer, or its error with all details.
func ask(ctx context.Context, api http.Handler, address *url.URL) (any, error) {
	r := (&http.Request{
		Method: http.MethodGet, URL: address, Header: http.Header{"Accept": {edge.TypeProtobuf}},
		Proto: "HTTP/2.0", ProtoMajor: 2, Body: http.NoBody,
	}).WithContext(ctx)
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		r.Header["Authorization"] = md.Get("authorization")
	}
	w := &answer{header: http.Header{}}
	api.ServeHTTP(w, r)
	if w.status == http.StatusOK {
		if cc := w.header.Get("Cache-Control"); cc != "" {
			_ = grpc.SetHeader(ctx, metadata.Pairs("cache-control", cc)) // a call without a transport has no headers
		}
		return rpc.Encoded(w.body), nil
	}
	s := new(statuspb.Status)
	if err := proto.Unmarshal(w.body, s); err != nil || s.GetCode() == 0 {
		return nil, fmt.Errorf("answered with %d and no status", w.status)
	}
	return nil, status.ErrorProto(s)
}

// answer keeps what a handler writes.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...) // the handler may use its memory again
	return len(b), nil
}
