//go:build unix

package local_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// measure starts the clock; what it returns reports the rate and, because a machine is rarely idle, the processor time
// of the whole process for each message.
func measure(b *testing.B) (report func()) {
	before := cpuTime(b)
	b.ResetTimer()
	return func() {
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
	}
}

// BenchmarkPublish publishes b.N messages in batches of 1,000.
func BenchmarkPublish(b *testing.B) {
	for _, bench := range []struct {
		name    string
		options local.Options
	}{{"default", local.Options{}}, {"sync_always", local.Options{SyncAlways: true}}} {
		b.Run(bench.name, func(b *testing.B) {
			lb := openBus(b, bench.options)
			report := measure(b)
			publish(b, lb, b.N)
			report()
		})
	}
}

// BenchmarkPublishOne publishes one message at a time.
func BenchmarkPublishOne(b *testing.B) {
	lb := openBus(b, local.Options{})
	msgs := batch(0, b.N)
	report := measure(b)
	for i := range msgs {
		if err := lb.Publish(b.Context(), event.Played.Topic(), msgs[i]); err != nil {
			b.Fatal(err)
		}
	}
	report()
}

// BenchmarkLogRead reads b.N messages that are there.
func BenchmarkLogRead(b *testing.B) {
	lb := openBus(b, local.Options{})
	publish(b, lb, b.N)
	log, err := lb.OpenLog(b.Context(), "bench", event.Topics())
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	report := measure(b)
	for read := 0; read < b.N; {
		entries, err := log.Read(b.Context(), 4096)
		if err != nil {
			b.Fatal(err)
		}
		read += len(entries)
	}
	report()
}

// BenchmarkSubscribeAck takes and acknowledges b.N messages that are there, 256 at a time.
func BenchmarkSubscribeAck(b *testing.B) {
	lb := openBus(b, local.Options{})
	publishOn(b, lb, trigger.Topic, b.N)
	s, err := lb.Subscribe(b.Context(), "bench", []string{trigger.Topic}, local.SubscriptionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	report := measure(b)
	for got := 0; got < b.N; {
		ds, err := s.Pull(b.Context(), 256)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Ack(b.Context(), ds...); err != nil {
			b.Fatal(err)
		}
		got += len(ds)
	}
	report()
}

// BenchmarkWaiting asks how far a log is behind.
func BenchmarkWaiting(b *testing.B) {
	lb := openBus(b, local.Options{})
	publish(b, lb, 1)
	log, err := lb.OpenLog(b.Context(), "bench", event.Topics())
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	defer measure(b)()
	for range b.N {
		if n, err := log.Waiting(b.Context()); err != nil || n != 1 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkIdle reports what a bus costs on which a log and a subscription wait for messages, in percent of a core,
// over ten seconds whatever b.N is.
func BenchmarkIdle(b *testing.B) {
	lb := openBus(b, local.Options{})
	log, err := lb.OpenLog(b.Context(), "bench", event.Topics())
	if err != nil {
		b.Fatal(err)
	}
	s, err := lb.Subscribe(b.Context(), "bench", []string{trigger.Topic}, local.SubscriptionOptions{})
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
