package api_test

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestMain lets this very program be a crowd.
func TestMain(m *testing.M) {
	if os.Getenv(crowdVariable) != "" {
		if err := beCrowd(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "crowd:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const crowdVariable = "HOMEFEED_BENCH_CROWD"

// crowd is many phones, each with a connection and one request at a time, in a process of their own: else Go would keep
// them waiting for what they measure, and they it.
type crowd struct {
	orders   *gob.Encoder
	outcomes *gob.Decoder
}

// errand is what a phone asks for again and again.
type errand struct {
	Addr    string
	Request []byte
}

// order has the first phones of a crowd ask.
type order struct {
	Phones int
	Rate   float64
	During time.Duration
}

// outcome is what a crowd was answered.
type outcome struct {
	Answered, Refused int // with 200 or 304, with 503
	Took              []time.Duration
	Over              time.Duration
	Failed            string        // why one could not ask
	cpu               time.Duration // that the server's process has used meanwhile
}

// p99 is of the answers that were not refusals.
func (o outcome) p99() time.Duration {
	slices.Sort(o.Took)
	return o.Took[len(o.Took)*99/100]
}

func (o outcome) rate() float64 { return float64(o.Answered) / o.Over.Seconds() }

// median is that of an odd number of turns.
func median(turns []float64) float64 {
	slices.Sort(turns)
	return turns[len(turns)/2]
}

// newCrowd starts a phone for each errand, and ends them with the benchmark.
func newCrowd(b *testing.B, errands []errand) *crowd {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crowdVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close() // which ends it
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	c := &crowd{gob.NewEncoder(in), gob.NewDecoder(out)}
	if err := c.orders.Encode(errands); err != nil {
		b.Fatal(err)
	}
	return c
}

// ask has so many of the phones send rate requests a second for a while, each at its own time however long those before
// it take: whoever comes late, because the connection was still waiting, has waited since that time. A rate of 0 is as
// fast as answers come.
func (c *crowd) ask(b *testing.B, phones int, rate float64, during time.Duration) (o outcome) {
	b.Helper()
	used := cpu(b)
	if err := errors.Join(c.orders.Encode(order{phones, rate, during}), c.outcomes.Decode(&o)); err != nil {
		b.Fatal(err)
	}
	if o.Failed != "" {
		b.Error(o.Failed)
	}
	o.cpu = cpu(b) - used
	return o
}

// beCrowd is the crowd's process.
func beCrowd(in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(1) // what else Go would look for work with is the server's
	orders, outcomes := gob.NewDecoder(in), gob.NewEncoder(out)
	var errands []errand
	if err := orders.Decode(&errands); err != nil {
		return err
	}
	var all []*phone
	for _, e := range errands {
		p, err := newPhone(e.Addr, e.Request)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := outcomes.Encode(o.ask(all[:o.Phones])); err != nil {
			return err
		}
	}
}

func (r order) ask(phones []*phone) outcome {
	began := time.Now()
	every := time.Duration(0)
	if r.Rate > 0 {
		every = time.Duration(float64(len(phones)) / r.Rate * float64(time.Second)) // of each
	}
	parts := make([]outcome, len(phones))
	var all sync.WaitGroup
	for i, p := range phones {
		all.Go(func() {
			o := &parts[i]
			due := began.Add(every * time.Duration(i) / time.Duration(len(phones)))
			for ; due.Before(began.Add(r.During)) && time.Since(began) < 2*r.During; due = due.Add(every) {
				if every == 0 {
					due = time.Now()
				} else {
					<-time.After(time.Until(due))
				}
				switch status, err := p.send(); {
				case err == nil && (status == http.StatusOK || status == http.StatusNotModified):
					o.Answered++
					o.Took = append(o.Took, time.Since(due))
				case err == nil && status == http.StatusServiceUnavailable:
					o.Refused++
				default:
					o.Failed = fmt.Sprintf("status %d, %v", status, err)
				}
			}
		})
	}
	all.Wait()
	sum := outcome{Over: time.Since(began)}
	for _, o := range parts {
		sum.Answered, sum.Refused, sum.Took = sum.Answered+o.Answered, sum.Refused+o.Refused, append(sum.Took, o.Took...)
		if o.Failed != "" {
			sum.Failed = o.Failed
		}
	}
	return sum
}
