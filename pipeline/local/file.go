package local

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// fileName is the file in Config.Dir.
	fileName = "pipeline.checkpoint"
	fileMark = "homefeed pipeline checkpoint 1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// kept is a checkpoint as it is read back.
type kept struct {
	pos         uint64
	floorBefore uint64 // the log's floor when the file was written; it can only have risen since
	watermark   int64
	trends      []byte
	listeners   []byte
}

// writeFile replaces the file in dir by c, durably and at once: a crash leaves the old one or the new one.
func writeFile(dir string, c *checkpoint, floorBefore uint64) (err error) {
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(encodeFile(f, c, floorBefore), f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(dir, fileName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// encodeFile writes the mark, the numbers, trends and listeners each behind its length, and a checksum of it all.
func encodeFile(w io.Writer, c *checkpoint, floorBefore uint64) error {
	sum := crc32.New(castagnoli)
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := io.MultiWriter(buffered, sum)
	var listeners uint64
	for _, part := range c.listeners {
		listeners += uint64(len(part))
	}
	head := []byte(fileMark)
	for _, v := range []uint64{c.pos, floorBefore, uint64(c.watermark), uint64(len(c.trends)), listeners} {
		head = binary.LittleEndian.AppendUint64(head, v)
	}
	for _, part := range append([][]byte{head, c.trends}, c.listeners...) {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	if _, err := buffered.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return err
	}
	return buffered.Flush()
}

// readFile reads the file in dir; an error that is fs.ErrNotExist means that there is none.
func readFile(dir string) (kept, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		return kept{}, err
	}
	return decodeFile(b)
}

// decodeFile never panics; the error says what is wrong with the bytes.
func decodeFile(b []byte) (kept, error) {
	const head = len(fileMark) + 5*8
	if len(b) < head+4 || string(b[:len(fileMark)]) != fileMark {
		return kept{}, errors.New("it is not a checkpoint of this version")
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return kept{}, fmt.Errorf("its checksum is %08x, want %08x: it is damaged", got, sum)
	}
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(b[len(fileMark)+8*i:]) }
	rest, trends, listeners := body[head:], number(3), number(4)
	if trends > uint64(len(rest)) || listeners != uint64(len(rest))-trends {
		return kept{}, errors.New("its lengths do not add up")
	}
	return kept{
		pos: number(0), floorBefore: number(1), watermark: int64(number(2)),
		trends: rest[:trends], listeners: rest[trends:],
	}, nil
}

// eachListener calls do for each pair in a checkpoint's listeners.
func eachListener(b []byte, do func(user string, state []byte) error) error {
	for len(b) > 0 {
		var pair [2][]byte
		for i := range pair {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > uint64(len(b)-size) {
				return errors.New("a listener is cut short")
			}
			pair[i], b = b[size:size+int(n)], b[size+int(n):]
		}
		if err := do(string(pair[0]), pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// prepareDir makes dir and removes what a crash left half written.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, fileName+".*"))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
