//go:build unix

package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dirLock keeps a second process out of a directory. The kernel drops it when the process ends, however it ends.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of Dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking Dir %s (is another process using it?): %w", dir, err)
	}
	return &dirLock{file: f}, nil
}

func (l *dirLock) unlock() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("unlocking Dir: %w", err)
	}
	return nil
}
