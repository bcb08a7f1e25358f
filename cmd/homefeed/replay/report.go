package replay

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plainEvery is how often progress is a line, where out is no terminal.
const plainEvery = 5 * time.Second

// report tells how the replay goes: a progress bar on a terminal, else lines.
type report struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // nil where out is no terminal
	begun time.Time
	last  time.Time // of a line of progress
	lines int       // of the log

	accepted, rejections, refusals int
}

func newReport(out io.Writer, lines int) *report {
	r := &report{out: out, lines: lines, begun: time.Now(), last: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		r.bar = newBar(out, lines)
	}
	return r
}

func newBar(out io.Writer, lines int) *progressbar.ProgressBar {
	return progressbar.NewOptions(lines,
		progressbar.OptionSetWriter(out), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("events"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionFullWidth(), progressbar.OptionThrottle(100*time.Millisecond))
}

// printf writes a line above the bar. That out can't be written is no reason to stop.
func (r *report) printf(format string, args ...any) {
	if r.bar != nil {
		_ = r.bar.Clear()
	}
	fmt.Fprintf(r.out, format+"\n", args...)
}

// refused reports an event that is not sent; field may be empty.
func (r *report) refused(line int, id, field, reason string) {
	r.refusals++
	r.event("refused here", line, id, field, reason)
	r.progress(1)
}

// rejected reports an event that the other side doesn't take; sent counts it.
func (r *report) rejected(line int, id, field, reason string) {
	r.event("rejected", line, id, field, reason)
}

func (r *report) event(what string, line int, id, field, reason string) {
	if field != "" {
		reason = field + ": " + reason
	}
	r.printf("line %d, event %s: %s: %s", line, id, what, reason)
}

// sent counts what the other side has answered.
func (r *report) sent(accepted, rejected int) {
	r.accepted += accepted
	r.rejections += rejected
	r.progress(accepted + rejected)
}

func (r *report) progress(events int) {
	if r.bar != nil {
		_ = r.bar.Add(events)
		return
	}
	if time.Since(r.last) >= plainEvery {
		r.last = time.Now()
		r.printf("%d of %d lines", r.accepted+r.rejections+r.refusals, r.lines)
	}
}

// waiting says that the other side is away, and for how long it is left alone.
func (r *report) waiting(err error, wait time.Duration) {
	r.printf("waiting %v: %v", wait.Round(time.Millisecond), err)
}

// summary is the last word: what became of the log. left is how many events a run that stopped has not sent.
func (r *report) summary(left int) {
	if r.bar != nil {
		_ = r.bar.Exit()
		fmt.Fprintln(r.out)
	}
	took := time.Since(r.begun)
	fmt.Fprintf(r.out, "%d events accepted, %d rejected, %d refused here, in %v (%.0f events a second)\n",
		r.accepted, r.rejections, r.refusals, took.Round(time.Millisecond),
		float64(r.accepted+r.rejections)/max(took.Seconds(), 1e-3))
	if left > 0 {
		fmt.Fprintf(r.out, "stopped with %d events left\n", left)
	}
}
