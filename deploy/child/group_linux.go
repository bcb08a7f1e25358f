package child

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the program a process group of its own, and has the kernel kill it should this process die first.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

func terminate(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) }

// dump has a Go program print what each of its goroutines does, and exit.
func dump(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGQUIT) }
