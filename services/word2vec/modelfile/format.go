package modelfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"runtime"
	"strings"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/vectors"
)

// A file is a header and then sections, in the order of the constants below, each at a multiple of 64 bytes. All
// numbers are little-endian. What is between the sections is 0.
const (
	magic   = "homefeed"
	format  = 2 // of the layout; a change that older programs would misread counts it up
	aligned = 64
)

const (
	secStarts         = iota // uint32: where each list starts
	secCentroids             // float32
	secVectors               // float32, list by list
	secCodes                 // int8; may be empty
	secScales                // float32; may be empty
	secCentroidCodes         // int8; may be empty
	secCentroidScales        // float32; may be empty
	secOrder                 // uint32
	secIDStarts              // uint64
	secIDText                // bytes
	secIDSlots               // uint32
	secLabels                // names, with a line feed behind each
	secBits                  // uint64
	secCells                 // float32; empty without lists
	secCellStarts            // uint32: at which list each cell starts
	sections
)

// section is a part of the file.
type section struct {
	Offset, Length uint64
	Checksum       uint32 // CRC-32C (Castagnoli)
	_              uint32
}

// header is the file's first bytes, as they are.
type header struct {
	Magic    [len(magic)]byte
	Format   uint32
	Dim      uint32
	Size     uint64 // of the whole file
	Sections [sections]section
	Probes   ivf.Probes
	Cells    ivf.Probes
	Seed     uint64
	Recall   float64
	Found    float64 // ivf.Report's
	Rows     float64
	Version  [16]byte
	Name     [MaxName]byte // 0 behind it
	Checksum uint32        // CRC-32C of the header up to here
}

var headerSize = binary.Size(header{})

// turn is how many bytes are looked through before others have a turn: some 50 µs.
const turn = 256 << 10

// checksum is CRC-32C: it finds every change of up to 32 bits in a row, and processors compute it as fast as they read.
// It lets other goroutines go first now and then: a server looks through a new model while it answers from the old one,
// and its answers would else wait for up to Go's time slice of 10 ms, again and again.
func checksum(b []byte) (sum uint32) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for len(b) > turn {
		sum = crc32.Update(sum, table, b[:turn])
		b = b[turn:]
		runtime.Gosched()
	}
	return crc32.Update(sum, table, b)
}

// encode is the header's bytes, with its checksum.
func (h *header) encode() []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, h) // a fixed size into memory: nothing can fail
	raw := b.Bytes()
	binary.LittleEndian.PutUint32(raw[len(raw)-4:], checksum(raw[:len(raw)-4]))
	return raw
}

// decode reads the header of a file of size bytes. Its checks are in the order in which they explain most: a file of
// something else, one of another release, one that was cut off, one that was damaged.
func decode(raw []byte, size int64) (*header, error) {
	if !strings.HasPrefix(string(raw[:min(len(raw), len(magic))]), magic) {
		return nil, refuse(Unknown, "it starts with %.8q: want a model, which starts with %q", raw, magic)
	}
	if len(raw) < headerSize {
		return nil, refuse(Truncated, "%d bytes: the header is truncated, want %d", size, headerSize)
	}
	h := &header{}
	if _, err := binary.Decode(raw[:headerSize], binary.LittleEndian, h); err != nil {
		return nil, err
	}
	if h.Format != format {
		return nil, refuse(Unknown, "format version %d: want %d: build the model again with this release", h.Format, format)
	}
	if sum := checksum(raw[:headerSize-4]); sum != h.Checksum {
		return nil, refuse(Damaged, "header is damaged: checksum %08x, want %08x", sum, h.Checksum)
	}
	if h.Size != uint64(size) {
		return nil, refuse(Truncated, "%d bytes: want %d: the file is truncated, or has something behind it", size, h.Size)
	}
	if h.Dim < 1 || h.Dim > vectors.MaxDim {
		return nil, fmt.Errorf("dimension %d: want 1 to %d", h.Dim, vectors.MaxDim)
	}
	for i, s := range h.Sections {
		if s.Offset%aligned != 0 || s.Offset > h.Size || s.Length > h.Size-s.Offset {
			return nil, fmt.Errorf("section %d is %d bytes from %d on: want it within the file's %d", i, s.Length, s.Offset, h.Size)
		}
	}
	for _, share := range []float64{h.Recall, h.Found} {
		if !(share >= 0 && share <= 1) {
			return nil, fmt.Errorf("recall %v: want 0 to 1", share)
		}
	}
	if !(h.Rows >= 0 && h.Rows <= math.MaxUint32) {
		return nil, fmt.Errorf("%v rows compared: want a number of rows", h.Rows)
	}
	return h, nil
}

// parse makes the content of a whole file, without copying where the machine reads numbers as the file has them. It
// looks at every byte once: all of a model is sound, or it is refused.
func parse(file []byte) (*Content, error) {
	h, err := decode(file, int64(len(file)))
	if err != nil {
		return nil, err
	}
	var part [sections][]byte
	for i, s := range h.Sections {
		part[i] = file[s.Offset : s.Offset+s.Length : s.Offset+s.Length]
		if sum := checksum(part[i]); sum != s.Checksum {
			return nil, refuse(Damaged, "section %d, bytes %d to %d, is damaged: checksum %08x, want %08x",
				i, s.Offset, s.Offset+s.Length, sum, s.Checksum)
		}
	}
	names := strings.SplitAfter(string(part[secLabels]), "\n")
	names = names[:len(names)-1] // what is behind the last line feed
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, "\n")
	}
	c := &Content{
		Info: Info{
			Name: strings.TrimRight(string(h.Name[:]), "\x00"), Version: string(h.Version[:]), Recall: h.Recall,
			Report: ivf.Report{Recall: h.Found, Rows: h.Rows}, Seed: h.Seed,
		},
		Index: &ivf.Index{
			Dim: int(h.Dim), Vectors: numbers[float32](part[secVectors]), Codes: numbers[int8](part[secCodes]),
			Scales: numbers[float32](part[secScales]), Centroids: numbers[float32](part[secCentroids]),
			CentroidCodes: numbers[int8](part[secCentroidCodes]), CentroidScales: numbers[float32](part[secCentroidScales]),
			Starts: numbers[uint32](part[secStarts]), Probes: h.Probes, Cells: numbers[float32](part[secCells]),
			CellStarts: numbers[uint32](part[secCellStarts]), CellProbes: h.Cells,
		},
		ids: ids{
			starts: numbers[uint64](part[secIDStarts]), text: part[secIDText], slots: numbers[uint32](part[secIDSlots]),
		},
		order:  numbers[uint32](part[secOrder]),
		labels: labels{names: names, words: (len(names) + 63) / 64, bits: numbers[uint64](part[secBits])},
	}
	return c, c.validate()
}
