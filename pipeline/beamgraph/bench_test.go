package beamgraph_test

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// BenchmarkCatchUp runs a log that is there as a whole through the graph, everything in memory but Prism: how fast
// it catches up. Time is from the start of the job to the last acknowledgement.
//
//	go test ./pipeline/beamgraph -run '^$' -bench CatchUp -benchtime 1x
func BenchmarkCatchUp(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	const n = 100_000
	events := madeUp(3, n, 5000, 500)
	for b.Loop() {
		w := &world{}
		if err := w.log.Append(events...); err != nil {
			b.Fatal(err)
		}
		conns := w.connections(b, true)
		before, began := cpu(b), time.Now()
		stop := stream(ctx, b, b.Name(), conns)
		w.served(ctx, b)
		b.ReportMetric(n/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(float64((cpu(b)-before).Microseconds())/n, "µs-cpu/event")
		stop()
	}
}

// cpu is what this process has used so far.
func cpu(b testing.TB) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
