package local

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"homefeed/pipeline/bus/local/embedded"
)

// ConnectOptions says how to join the bus of another process.
type ConnectOptions struct {
	// TokenFile is the file TokenFile in that process's Options.Dir.
	TokenFile string
	// Logger takes what goes wrong with the connection; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics, until Close; nil leaves them unregistered.
	Registerer prometheus.Registerer
}

// Connect joins the Bus that another process has opened with Options.Listen, at its Addr. While that process is away
// calls fail, those that wait too; when it is back they work again, on the same subscriptions and logs. ctx's
// deadline bounds the connecting only; the caller calls Close.
func Connect(ctx context.Context, addr string, o ConnectOptions) (*Bus, error) {
	b, err := connect(ctx, addr, o)
	if err != nil {
		return nil, fmt.Errorf("connecting to the local bus at %s: %w", addr, err)
	}
	return b, nil
}

func connect(ctx context.Context, addr string, o ConnectOptions) (*Bus, error) {
	if _, _, err := embedded.ParseLoopback(addr); err != nil {
		return nil, err
	}
	token, err := embedded.ReadToken(o.TokenFile)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	within := callTimeout
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline))
	}
	return newBus(o.Logger, o.Registerer, "nats://"+addr,
		nats.Token(token),
		nats.Timeout(within))
}
