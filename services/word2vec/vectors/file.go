package vectors

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Load reads a file of vectors: word2vec's binary format if its name ends in .bin, its text format if in .txt; both
// may be gzipped, with .gz behind.
func Load(path string) (*Vectors, error) {
	read, _, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening vectors: %w", err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<20)
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, fmt.Errorf("reading vectors %s: %w", path, err)
		}
	}
	v, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("reading vectors %s: %w", path, err)
	}
	return v, nil
}

// Save writes a file of vectors in the format that its name ends in, as Load reads it; see Replace.
func Save(path string, v *Vectors) error {
	_, write, err := formatOf(path)
	if err != nil {
		return err
	}
	if err := Replace(path, func(w io.Writer) error { return encode(w, path, v, write) }); err != nil {
		return fmt.Errorf("writing vectors %s: %w", path, err)
	}
	return nil
}

// Replace gives a file new content. It is written aside and renamed, so under its name there is the old content or
// the new, and never a part; who has opened or mapped the old file goes on reading it.
func Replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err = errors.Join(write(f), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func encode(w io.Writer, path string, v *Vectors, write func(io.Writer, *Vectors) error) error {
	if !strings.HasSuffix(path, ".gz") {
		return write(w, v)
	}
	zipped := gzip.NewWriter(w)
	return errors.Join(write(zipped, v), zipped.Close())
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckPath says whether the name of a file is one that Load and Save take.
func CheckPath(path string) error {
	_, _, err := formatOf(path)
	return err
}

func formatOf(path string) (func(io.Reader) (*Vectors, error), func(io.Writer, *Vectors) error, error) {
	switch filepath.Ext(strings.TrimSuffix(path, ".gz")) {
	case ".bin":
		return ReadBinary, WriteBinary, nil
	case ".txt":
		return ReadText, WriteText, nil
	}
	return nil, nil, fmt.Errorf("vectors %s: want a name that ends in .bin, .txt, .bin.gz or .txt.gz", path)
}
