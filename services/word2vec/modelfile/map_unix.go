//go:build unix

package modelfile

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix" // the Go project's own, for mmap
)

// mapFile has the file's bytes in memory without reading them. They are there until unmap.
func mapFile(f *os.File, size int64) (file []byte, unmap func() error, err error) {
	if size > math.MaxInt {
		return nil, nil, fmt.Errorf("%d bytes: more than this machine can address", size)
	}
	file, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	return file, func() error { return unix.Munmap(file) }, nil
}
