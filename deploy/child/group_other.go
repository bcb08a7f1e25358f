//go:build !unix

package child

import "os/exec"

func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

// terminate kills: there is no gentler signal here.
func terminate(cmd *exec.Cmd) error { return cmd.Process.Kill() }

func dump(*exec.Cmd) {}
