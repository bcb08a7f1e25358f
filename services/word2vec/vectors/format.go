package vectors

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// sentenceEnd is the word that word2vec.c puts first into every model. It is no track, and is passed over.
const sentenceEnd = "</s>"

// ReadBinary reads word2vec's binary format: a line with the number of vectors and their dimension, then for each
// the id, a blank, and its values as little-endian float32; a line feed may follow. A header that promises more
// than there is costs no memory. Errors say at which vector and byte.
func ReadBinary(r io.Reader) (*Vectors, error) {
	in := &counter{r: bufio.NewReaderSize(r, 1<<16)}
	count, dim, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	c := newCollector(dim)
	raw, values := make([]byte, 4*dim), make([]float32, dim)
	for n := 1; n <= count; n++ {
		id, err := in.word()
		if err == nil {
			err = in.full(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("vector %d of %d, byte %d: %w", n, count, in.n, truncated(err))
		}
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		if err := c.add(id, values); err != nil {
			return nil, fmt.Errorf("vector %d of %d, byte %d: %w", n, count, in.n-int64(len(raw)), err)
		}
	}
	if id, err := in.word(); !errors.Is(err, io.EOF) || id != "" {
		return nil, fmt.Errorf("byte %d: more after the %d vectors of dimension %d that the header promises", in.n, count, dim)
	}
	return c.done()
}

// WriteBinary writes what ReadBinary reads, and what word2vec.c and gensim read.
func WriteBinary(w io.Writer, v *Vectors) error {
	out := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprintf(out, "%d %d\n", v.Len(), v.Dim())
	raw := make([]byte, 4*v.Dim())
	for i := range v.Len() {
		for j, value := range v.At(i) {
			binary.LittleEndian.PutUint32(raw[4*j:], math.Float32bits(value))
		}
		out.WriteString(v.ID(i))
		out.WriteByte(' ')
		out.Write(raw)
		out.WriteByte('\n')
	}
	return out.Flush() // a bufio.Writer keeps its first error for this
}

// ReadText reads word2vec's text format: a line with the number of vectors and their dimension, then a line for
// each with the id and its values, separated by blanks. Errors say on which line.
func ReadText(r io.Reader) (*Vectors, error) {
	in := &counter{r: bufio.NewReaderSize(r, 1<<16)}
	count, dim, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	c := newCollector(dim)
	values := make([]float32, dim)
	lines := bufio.NewScanner(in.r)
	lines.Buffer(nil, maxID+64*(dim+1)) // a float32 needs at most 16 letters; 64 allow for float64s and blanks
	line := 1
	for lines.Scan() {
		line++
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if c.read() == count {
			return nil, fmt.Errorf("line %d: more than the %d vectors that the header promises", line, count)
		}
		if err := parseValues(words[1:], values); err != nil {
			return nil, fmt.Errorf("line %d: id %.140q: %w", line, words[0], err)
		}
		if err := c.add(words[0], values); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	if c.read() < count {
		return nil, fmt.Errorf("line %d: the file is truncated: %d of %d vectors", line, c.read(), count)
	}
	return c.done()
}

func parseValues(words []string, values []float32) error {
	if len(words) != len(values) {
		return fmt.Errorf("%d values: want %d, as the header says", len(words), len(values))
	}
	for i, word := range words {
		value, err := strconv.ParseFloat(word, 32)
		if err != nil {
			return fmt.Errorf("value %d is %.40q: want a number within a float32", i+1, word)
		}
		values[i] = float32(value)
	}
	return nil
}

// WriteText writes what ReadText reads; every value comes back as it was.
func WriteText(w io.Writer, v *Vectors) error {
	out := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprintf(out, "%d %d\n", v.Len(), v.Dim())
	var number []byte
	for i := range v.Len() {
		out.WriteString(v.ID(i))
		for _, value := range v.At(i) {
			out.WriteByte(' ')
			number = strconv.AppendFloat(number[:0], float64(value), 'g', -1, 32)
			out.Write(number)
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// readHeader reads the first line, at most 64 bytes.
func readHeader(in *counter) (count, dim int, err error) {
	var line []byte
	for {
		c, err := in.byte()
		if err != nil {
			return 0, 0, fmt.Errorf("header: %w", truncated(err))
		}
		if c == '\n' {
			break
		}
		if line = append(line, c); len(line) > 64 {
			return 0, 0, errors.New("header: no line feed in 64 bytes: want a line with the number of vectors and their dimension")
		}
	}
	words := strings.Fields(string(line))
	if len(words) != 2 {
		return 0, 0, fmt.Errorf("header %q: want the number of vectors and their dimension", line)
	}
	if count, err = strconv.Atoi(words[0]); err != nil || count < 1 || count > MaxTracks {
		return 0, 0, fmt.Errorf("header %q: number of vectors: want 1 to %d", line, MaxTracks)
	}
	if dim, err = strconv.Atoi(words[1]); err != nil || dim < 1 || dim > MaxDim {
		return 0, 0, fmt.Errorf("header %q: dimension: want 1 to %d", line, MaxDim)
	}
	return count, dim, nil
}

// collector gathers vectors as they are read, and checks each while its place in the file is known.
type collector struct {
	v      *Vectors
	passed int // sentence ends
}

func newCollector(dim int) *collector {
	return &collector{v: &Vectors{dim: dim, index: map[string]int{}}}
}

func (c *collector) read() int { return len(c.v.ids) + c.passed }

func (c *collector) add(id string, values []float32) error {
	if id == sentenceEnd {
		c.passed++
		return nil
	}
	c.v.ids = append(c.v.ids, id)
	c.v.data = append(c.v.data, values...)
	return c.v.add(len(c.v.ids)-1, id)
}

func (c *collector) done() (*Vectors, error) {
	if len(c.v.ids) == 0 {
		return nil, errors.New("no vectors of tracks: want at least one")
	}
	return c.v, nil
}

// counter reads and knows where it is.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) byte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func (c *counter) full(p []byte) error {
	n, err := io.ReadFull(c.r, p)
	c.n += int64(n)
	return err
}

// word reads up to a blank, which it takes too, and passes over line feeds before it. It fails with io.EOF, and
// what there was.
func (c *counter) word() (string, error) {
	var word []byte
	for {
		b, err := c.byte()
		switch {
		case err != nil:
			return string(word), err
		case b == ' ':
			return string(word), nil
		case b == '\n' && len(word) == 0:
		case len(word) > maxID:
			return "", fmt.Errorf("no blank behind the id %.40q… within %d bytes: want the dimension of the header", word, maxID)
		default:
			word = append(word, b)
		}
	}
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file is truncated: %w", io.ErrUnexpectedEOF)
	}
	return err
}
