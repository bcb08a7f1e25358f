// Package child runs other programs for tests: each in a process group of its own, with the end of its output kept,
// and gone when the test is, whatever happens to either.
package child

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// outputSize is how much of a program's output is kept, in bytes: its end.
const outputSize = 256 << 10

// outputWithin is how long after a program's end its output may stay open. Then somebody it has started lives on.
const outputWithin = 5 * time.Second

// Process is a running program that is the head of its own process group. Its methods may be called from any
// goroutine.
type Process struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has exited and is reaped
	err    error         // how it ended; read after done
	output *tail
}

// Run starts cmd, which must not have been started and whose output must be unset. The caller ends it with Kill or
// Terminate. On Linux the kernel kills it, too, when this process dies.
func Run(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{}), output: &tail{}}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.WaitDelay = outputWithin
	ownGroup(cmd)
	started := make(chan error, 1)
	go func() { // ends when the program exits, which Kill sees to
		// The kernel's "kill it when the parent dies" hangs on the thread that started it, so that thread has to
		// live as long as the program does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output is the end of what the program has written so far, to its output and its errors together.
func (p *Process) Output() string { return p.output.String() }

// Kill ends the whole group at once, as kill -9 does, and waits for the end. Killing what has ended does nothing.
func (p *Process) Kill() {
	select {
	case <-p.done: // its group's number may belong to somebody else by now
		return
	default:
	}
	killGroup(p.cmd)
	<-p.done
}

// Terminate asks the program, not its group, to end, as Kubernetes and Ctrl-C do, and waits for it. The error is nil
// if it ended in time with exit code 0. A program that is too slow is made to say what it was doing, if it is
// written in Go, and killed with its group.
func (p *Process) Terminate(within time.Duration) error {
	select {
	case <-p.done:
		return fmt.Errorf("it had ended before it was asked to: %s", p.end())
	default:
	}
	if err := terminate(p.cmd); err != nil {
		return fmt.Errorf("asking it to end: %w", err)
	}
	if !p.endsWithin(within) {
		p.Dump()
		return fmt.Errorf("it was still running %v after it was asked to end", within)
	}
	if p.err != nil {
		return fmt.Errorf("it was asked to end: %s", p.end())
	}
	return nil
}

// Dump has the program say what each of its goroutines does, if it is written in Go, and kills it with its group. What
// has ended says nothing more.
func (p *Process) Dump() {
	select {
	case <-p.done:
		return
	default:
	}
	dump(p.cmd)
	p.endsWithin(outputWithin)
	p.Kill()
}

func (p *Process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// end says how the program ended.
func (p *Process) end() string {
	if p.err != nil {
		return p.err.Error()
	}
	return "exit status 0"
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write lets the buffer grow to twice what is kept, so that the end is moved once in a while and not each time.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*outputSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-outputSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.buf[max(0, len(t.buf)-outputSize):], nil))
}
