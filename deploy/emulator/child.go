package emulator

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
)

// child is a running program that is the head of its own process group.
type child struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has exited and is reaped
	output *tail
}

func startChild(program string, args []string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), done: make(chan struct{}), output: &tail{}}
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	ownGroup(c.cmd)
	started := make(chan error, 1)
	go func() { // ends when the program exits, which kill sees to
		// The kernel's "kill it when the parent dies" hangs on the thread that started it, so that thread has to
		// live as long as the program does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // how it ended doesn't matter: it is killed, or its output is shown
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("running %s: %w", program, err)
	}
	return c, nil
}

// kill ends the whole group at once (an emulator has nothing to save) and waits for the end.
func (c *child) kill() {
	select {
	case <-c.done: // its group's number may belong to somebody else by now
		return
	default:
	}
	killGroup(c.cmd)
	<-c.done
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
