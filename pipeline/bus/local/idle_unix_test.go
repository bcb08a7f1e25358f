//go:build unix

package local_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
)

// BenchmarkIdle reports what a bus costs on which a log and a subscription wait for messages, in percent of a core,
// over ten seconds whatever b.N is.
func BenchmarkIdle(b *testing.B) {
	lb := openBus(b, local.Options{})
	log, err := lb.OpenLog(b.Context(), "bench", event.Topics())
	if err != nil {
		b.Fatal(err)
	}
	s, err := lb.Subscribe(b.Context(), "bench", event.Topics(), local.SubscriptionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = log.Read(b.Context(), 1) })
	waiting.Go(func() { _, _ = s.Pull(b.Context(), 1) })
	before := cpuTime(b)
	start := time.Now()
	<-time.After(10 * time.Second)
	b.ReportMetric(100*(cpuTime(b)-before).Seconds()/time.Since(start).Seconds(), "cpu%")
	log.Close()
	s.Close()
	waiting.Wait()
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
