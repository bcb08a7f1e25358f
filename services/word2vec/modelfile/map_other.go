//go:build !unix

package modelfile

import (
	"io"
	"os"
)

// mapFile reads the file, where there is no mapping it.
func mapFile(f *os.File, size int64) (file []byte, unmap func() error, err error) {
	file = make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, size), file); err != nil {
		return nil, nil, err
	}
	return file, func() error { return nil }, nil
}
