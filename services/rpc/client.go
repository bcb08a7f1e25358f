package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// DialOptions says how a connection behaves. Zero fields take the defaults above.
type DialOptions struct {
	Registerer prometheus.Registerer // nil: the metrics are kept and not registered
	// TLS is how the server is checked. Nil means plaintext to a loopback address and otherwise TLS with the
	// system's roots.
	TLS *tls.Config
	// Plaintext sends without TLS to any address: only inside a network that encrypts. TLS must be nil then.
	Plaintext  bool
	Timeout    time.Duration // the deadline of a call whose context has none
	MaxMessage int           // bytes of the largest request and answer
}

// serviceConfig spreads calls over all of a name's addresses and tries again what failed because a server was
// away, at most 3 times more, with a budget: when half of all calls fail, retries stop adding load.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.05s",
      "maxBackoff": "1s",
      "backoffMultiplier": 3,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}`

// Dial makes a connection to target, an address or a gRPC name such as dns:///songsplayed:9000. It connects at the
// first call and reconnects by itself; an address where nobody answers is no error here. Calls get a deadline
// if they have none, are tried again when the server is away, and fail with errors that errors.Is and errors.As
// can tell apart: FieldError, ErrNotFound, ErrUnavailable, ErrBusy, context.DeadlineExceeded, context.Canceled.
// Close it after use.
func Dial(target string, o DialOptions) (*grpc.ClientConn, error) {
	if target == "" {
		return nil, errors.New("dialling: target: want host:port or a gRPC name")
	}
	if o.Plaintext && o.TLS != nil {
		return nil, fmt.Errorf("dialling %s: Plaintext: want false, because TLS is set", target)
	}
	creds := credentials.NewTLS(o.TLS)
	if o.Plaintext || o.TLS == nil && loopback(target) {
		creds = insecure.NewCredentials()
	}
	return dial(target, o, grpc.WithTransportCredentials(creds))
}

func dial(target string, o DialOptions, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	c, err := newCalls(o.Registerer, "client")
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithDefaultServiceConfig(serviceConfig),
		// A name's owner can't override the above by a DNS record.
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(o.MaxMessage), grpc.MaxCallSendMsgSize(o.MaxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithUnaryInterceptor(c.call(orDefault(o.Timeout, DefaultTimeout))),
	}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", target, err)
	}
	return conn, nil
}

// call is the client's interceptor: deadline, metrics, errors. Attempts are beneath it.
func (c *calls) call(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, ok := ctx.Deadline(); !ok {
			bounded, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			ctx = bounded
		}
		end := c.begin(method)
		err := next(ctx, method, req, reply, conn, opts...)
		end(err)
		return called(err)
	}
}

// loopback reports whether a target stays on this machine.
func loopback(target string) bool {
	if strings.HasPrefix(target, "unix:") {
		return true
	}
	if _, address, ok := strings.Cut(target, ":///"); ok {
		target = address
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = target
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
