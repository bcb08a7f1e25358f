// Package snapshot keeps the state of the local pipeline in one file: everything as of one position of the log.
package snapshot

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
	"slices"
)

const (
	fileName = "pipeline.snapshot"
	fileMark = "homefeed pipeline snapshot 1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot is what is kept.
type Snapshot struct {
	// Pos is the position of the log up to which everything is in it.
	Pos uint64
	// FloorBefore is the log's floor when it was written. It can only have risen since, in the same log.
	FloorBefore uint64
	// Watermark is in ms.
	Watermark int64
	// Trends is the encoded state of the windows, empty without, and Listeners is what AppendListener made: each in
	// parts that follow one another. Read gives them in one part.
	Trends, Listeners [][]byte
}

// AppendListener appends a listener and its encoded state.
func AppendListener(b []byte, user string, state []byte) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(user))), user...)
	return append(binary.AppendUvarint(b, uint64(len(state))), state...)
}

// EachListener calls do for each listener in the snapshot, until do returns an error. It never panics; an error says
// that the bytes are not what AppendListener made, or is do's.
func (s *Snapshot) EachListener(do func(user string, state []byte) error) error {
	for _, b := range s.Listeners {
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
	}
	return nil
}

// Prepare makes dir and removes what a crash left half written.
func Prepare(dir string) error {
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

// Write replaces the snapshot in dir, durably and at once: a crash leaves the old one or the new one.
func Write(dir string, s *Snapshot) (err error) {
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(encode(f, s), f.Sync())
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

// Read reads the snapshot in dir. An error that is fs.ErrNotExist means that there is none; any other, that it can't
// be read or is damaged.
func Read(dir string) (*Snapshot, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		return nil, err
	}
	return decode(b)
}

// encode writes the mark, the numbers, trends and listeners, and a checksum of it all.
func encode(w io.Writer, s *Snapshot) error {
	sum := crc32.New(castagnoli)
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := io.MultiWriter(buffered, sum)
	head := []byte(fileMark)
	for _, v := range []uint64{s.Pos, s.FloorBefore, uint64(s.Watermark), size(s.Trends), size(s.Listeners)} {
		head = binary.LittleEndian.AppendUint64(head, v)
	}
	for _, part := range slices.Concat([][]byte{head}, s.Trends, s.Listeners) {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	if _, err := buffered.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return err
	}
	return buffered.Flush()
}

func size(parts [][]byte) (n uint64) {
	for _, part := range parts {
		n += uint64(len(part))
	}
	return n
}

// decode never panics; the error says what is wrong with the bytes.
func decode(b []byte) (*Snapshot, error) {
	const head = len(fileMark) + 5*8
	if len(b) < head+4 || string(b[:len(fileMark)]) != fileMark {
		return nil, errors.New("it is not a snapshot of this version")
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("its checksum is %08x, want %08x: it is damaged", got, sum)
	}
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(b[len(fileMark)+8*i:]) }
	rest, trends, listeners := body[head:], number(3), number(4)
	if trends > uint64(len(rest)) || listeners != uint64(len(rest))-trends {
		return nil, errors.New("its lengths do not add up")
	}
	return &Snapshot{
		Pos: number(0), FloorBefore: number(1), Watermark: int64(number(2)),
		Trends: [][]byte{rest[:trends]}, Listeners: [][]byte{rest[trends:]},
	}, nil
}
