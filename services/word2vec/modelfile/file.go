package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"homefeed/services/word2vec/vectors"
)

// Extension is what the name of a model file ends in.
const Extension = ".hfm"

// Open maps a model file into memory and checks all of it: header, checksums, sizes, and that every vector has length
// 1. That reads the file once, at the speed of the disk, or in under half a second for a million tracks that the
// system has in memory anyway; a server that went by the header alone would answer wrongly, or crash, at the first
// search that came upon the damage. The error says what is wrong. The mapped file must not be written to: new models
// come under the old name by renaming, as Save does.
func Open(path string) (*Content, error) {
	c, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("opening model %s: %w", path, err)
	}
	return c, nil
}

func open(path string) (*Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping outlives it
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Before it is mapped: what is no model, or a directory, is not worth it.
	start := make([]byte, headerSize)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if _, err := decode(start[:n], info.Size()); err != nil {
		return nil, err
	}
	file, unmap, err := mapFile(f, info.Size())
	if err != nil {
		return nil, err
	}
	c, err := parse(file)
	if err != nil {
		return nil, errors.Join(err, unmap())
	}
	c.close = unmap
	return c, nil
}

// Write writes the model as a file.
func (c *Content) Write(w io.Writer) error {
	var names strings.Builder
	for _, name := range c.labels.names {
		names.WriteString(name + "\n")
	}
	parts := [sections][]byte{
		secStarts: raw(c.Starts), secCentroids: raw(c.Centroids), secVectors: raw(c.Index.Vectors), secCodes: raw(c.Codes),
		secScales: raw(c.Scales), secCentroidCodes: raw(c.CentroidCodes), secCentroidScales: raw(c.CentroidScales),
		secOrder: raw(c.order), secIDStarts: raw(c.ids.starts), secIDText: c.ids.text,
		secIDSlots: raw(c.ids.slots), secLabels: []byte(names.String()), secBits: raw(c.labels.bits),
		secCells: raw(c.Cells), secCellStarts: raw(c.CellStarts),
	}
	h := header{
		Format: format, Dim: uint32(c.Dim), Probes: c.Probes, Cells: c.CellProbes, Seed: c.Seed, Recall: c.Recall,
		Found: c.Report.Recall, Rows: c.Report.Rows,
	}
	copy(h.Magic[:], magic)
	copy(h.Version[:], c.Version)
	copy(h.Name[:], c.Name)
	at := round(uint64(headerSize))
	for i, part := range parts {
		h.Sections[i] = section{Offset: at, Length: uint64(len(part)), Checksum: checksum(part)}
		at = round(at + uint64(len(part)))
	}
	h.Size = at
	if err := padded(w, h.encode()); err != nil {
		return err
	}
	for _, part := range parts {
		if err := padded(w, part); err != nil {
			return err
		}
	}
	return nil
}

// round is the next multiple of aligned.
func round(n uint64) uint64 { return (n + aligned - 1) / aligned * aligned }

func padded(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(make([]byte, round(uint64(len(b)))-uint64(len(b))))
	return err
}

// Save writes vectors in the format that the name of the file ends in: as a model, built by the options, for .hfm, and
// else as vectors.Save, which has no use for the options. Either is written aside and renamed.
func Save(ctx context.Context, path string, v *vectors.Vectors, o Options) error {
	if !strings.HasSuffix(path, Extension) {
		return vectors.Save(path, v)
	}
	c, err := New(ctx, v, o)
	if err != nil {
		return err
	}
	return c.Save(path)
}

// Save writes the model to a file; see vectors.Replace.
func (c *Content) Save(path string) error {
	if err := vectors.Replace(path, c.Write); err != nil {
		return fmt.Errorf("writing model %s: %w", path, err)
	}
	return nil
}

// Load opens a model, or makes one of a file that vectors.Load reads; see Scanned.
func Load(path string) (*Content, error) {
	if strings.HasSuffix(path, Extension) {
		return Open(path)
	}
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	v, err := vectors.Load(path)
	if err != nil {
		return nil, err
	}
	return Scanned(v), nil
}

// CheckPath says whether the name of a file is one that Load and Save take.
func CheckPath(path string) error {
	if strings.HasSuffix(path, Extension) || vectors.CheckPath(path) == nil {
		return nil
	}
	return refuse(Unknown, "model %s: want a name that ends in %s, .bin, .txt, .bin.gz or .txt.gz", path, Extension)
}
