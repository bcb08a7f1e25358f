package rpc

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// InProcess serves s to a connection in the same process, without a network: the same stack of deadlines, limits,
// errors and metrics. For tests. The function that it returns closes the connection, drains the server and waits
// for its end.
func InProcess(s *Server, o DialOptions) (*grpc.ClientConn, func(), error) {
	l := bufconn.Listen(1 << 20)
	conn, err := dial("passthrough:///in-process", o,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := s.Serve(ctx, l); err != nil {
			s.log.Error("serving in process", "error", err)
		}
	}()
	stop := func() {
		conn.Close()
		cancel()
		<-served
	}
	return conn, stop, nil
}

// Direct calls the handlers of s, registered by now, in the caller's goroutine: with the deadlines, limits, errors and
// metrics of both sides, but without a transport, which costs more than most handlers do. So there are no retries, no
// bounds on the size of messages and no streams, and a handler that doesn't observe its context holds its caller up. For
// programs that hold everything in one process. It fails only if its metrics' names are taken by something else.
//
// It is our own because the libraries for it bring a second reflection of protobuf into every binary.
func Direct(s *Server, o DialOptions) (grpc.ClientConnInterface, error) {
	c, err := newCalls(o.Registerer, "client")
	if err != nil {
		return nil, err
	}
	return &direct{s, c.call(orDefault(o.Timeout, DefaultTimeout))}, nil
}

type direct struct {
	server *Server
	around grpc.UnaryClientInterceptor
}

// Invoke is grpc.ClientConnInterface's. Messages are copied, and what they hold is shared: so a server may not change what
// it is sent, nor keep it when it has answered, and each answer is made for one caller.
func (d *direct) Invoke(ctx context.Context, name string, req, reply any, _ ...grpc.CallOption) error {
	return d.around(ctx, name, req, reply, nil,
		func(ctx context.Context, name string, req, reply any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			m, ok := d.server.methods[name]
			if !ok {
				return status.Errorf(codes.Unimplemented, "unknown method %s", name)
			}
			answer, err := m.handler(m.impl, ctx, func(in any) error { return copyMessage(in, req) }, d.server.around)
			if err != nil {
				return err
			}
			return copyMessage(reply, answer)
		})
}

// NewStream is grpc.ClientConnInterface's; none of homefeed's services has streams.
func (d *direct) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "streams need a connection")
}

func copyMessage(to, from any) error {
	dst, ok := to.(proto.Message)
	if e, encoded := from.(Encoded); encoded && ok {
		if err := proto.Unmarshal(e, dst); err != nil {
			return status.Errorf(codes.Internal, "decoding %T: %v", to, err)
		}
		return nil
	}
	src, ok2 := from.(proto.Message)
	if !ok || !ok2 {
		return status.Errorf(codes.Internal, "%T and %T: want protobuf messages", to, from)
	}
	target := dst.ProtoReflect()
	src.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		target.Set(field, value)
		return true
	})
	return nil
}
