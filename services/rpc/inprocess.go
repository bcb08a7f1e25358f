package rpc

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// InProcess serves s to a connection in the same process, without a network: the same stack of deadlines, limits,
// errors and metrics. For programs that hold everything in one process, and for tests. The function that it
// returns closes the connection, drains the server and waits for its end.
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
