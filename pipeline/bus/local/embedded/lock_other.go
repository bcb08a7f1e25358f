//go:build !unix

package embedded

// dirLock does nothing where the kernel has no flock: two processes on one directory are the operator's mistake.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (*dirLock) unlock() error { return nil }
