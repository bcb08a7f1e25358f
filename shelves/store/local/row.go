package local

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"homefeed/shelves/store"
)

// A row is one value:
//
//	uvarint tombstone in Unix ms + 1, or 0
//	then cells, by shelf, then newest first:
//	    uvarint length, shelf · uvarint as-of in Unix ms · uvarint length, data
//
// What a Write or a Delete adds is a row too, and joining two rows is the only operation. It is associative,
// so the engine may join them in any grouping, as long as it knows which of two is the newer.

var errCorrupt = errors.New("corrupt row")

// cellView is a cell whose bytes belong to the row that it was read from.
type cellView struct {
	raw   []byte // the whole encoded cell
	shelf []byte
	asOf  uint64
	data  []byte
}

// appendRow encodes what one Write adds. Of two cells of one shelf and as-of the later one counts.
func appendRow(dst []byte, cells []store.Cell) []byte {
	sorted := slices.Clone(cells)
	slices.SortStableFunc(sorted, func(a, b store.Cell) int {
		return cmp.Or(strings.Compare(a.Shelf, b.Shelf), b.AsOf.Compare(a.AsOf))
	})
	dst = append(dst, 0)
	for i := range sorted {
		c := &sorted[i]
		if i+1 < len(sorted) && sorted[i+1].Shelf == c.Shelf && sorted[i+1].AsOf.Equal(c.AsOf) {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(c.Shelf)))
		dst = append(dst, c.Shelf...)
		dst = binary.AppendUvarint(dst, uint64(c.AsOf.UnixMilli()))
		dst = binary.AppendUvarint(dst, uint64(len(c.Data)))
		dst = append(dst, c.Data...)
	}
	return dst
}

// appendTombstone encodes what one Delete adds.
func appendTombstone(dst []byte, at time.Time) []byte {
	return binary.AppendUvarint(dst, uint64(at.UnixMilli())+1)
}

// rowSize is at least as long as what appendRow makes of the cells.
func rowSize(cells []store.Cell) int {
	n := 1
	for i := range cells {
		n += 3*binary.MaxVarintLen64 + len(cells[i].Shelf) + len(cells[i].Data)
	}
	return n
}

// rowReader walks over the cells of an encoded row without copying.
type rowReader struct {
	tombstone uint64
	rest      []byte
}

func readRow(row []byte) (rowReader, error) {
	tombstone, n := binary.Uvarint(row)
	if n <= 0 {
		return rowReader{}, errCorrupt
	}
	return rowReader{tombstone, row[n:]}, nil
}

// next returns the next cell that the tombstone does not hide; ok is false at the end.
func (r *rowReader) next() (c cellView, ok bool, err error) {
	for len(r.rest) > 0 {
		row := r.rest
		if c.shelf, r.rest, ok = cutBytes(r.rest); !ok {
			return c, false, errCorrupt
		}
		var n int
		if c.asOf, n = binary.Uvarint(r.rest); n <= 0 {
			return c, false, errCorrupt
		}
		if c.data, r.rest, ok = cutBytes(r.rest[n:]); !ok {
			return c, false, errCorrupt
		}
		if c.asOf >= r.tombstone {
			c.raw = row[:len(row)-len(r.rest)]
			return c, true, nil
		}
	}
	return cellView{}, false, nil
}

func cutBytes(b []byte) (head, tail []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}

// joinRows appends to dst the row that older and newer make together: the later tombstone, and of each shelf
// the newest generations that it leaves. Where both have a cell of one shelf and as-of, newer's counts.
func joinRows(dst, older, newer []byte) ([]byte, error) {
	o, err := readRow(older)
	if err != nil {
		return nil, err
	}
	n, err := readRow(newer)
	if err != nil {
		return nil, err
	}
	o.tombstone = max(o.tombstone, n.tombstone)
	n.tombstone = o.tombstone
	dst = binary.AppendUvarint(dst, o.tombstone)
	oc, oOK, oErr := o.next()
	nc, nOK, nErr := n.next()
	var limit generations
	for (oOK || nOK) && oErr == nil && nErr == nil {
		order := -1 // older's cell is first
		if !oOK {
			order = 1
		} else if nOK {
			order = cmp.Or(slices.Compare(oc.shelf, nc.shelf), cmp.Compare(nc.asOf, oc.asOf))
		}
		first := oc
		if order >= 0 {
			first = nc
		}
		if limit.admit(first.shelf, store.Versions) {
			dst = append(dst, first.raw...)
		}
		if order <= 0 {
			oc, oOK, oErr = o.next()
		}
		if order >= 0 {
			nc, nOK, nErr = n.next()
		}
	}
	return dst, errors.Join(oErr, nErr)
}

// generations counts the cells of a shelf while walking over a row.
type generations struct {
	shelf []byte
	n     int
}

func (g *generations) admit(shelf []byte, most int) bool {
	if string(g.shelf) != string(shelf) {
		g.shelf, g.n = shelf, 0
	}
	g.n++
	return g.n <= most
}

// decodeRow copies the newest versions of each shelf out of an encoded row. All names share one string and all
// data one array, so a Home of any size costs three allocations.
func decodeRow(encoded []byte, versions int) (store.Row, error) {
	row, err := viewRow(encoded, versions)
	size := 0
	for i := range row.Cells {
		size += len(row.Cells[i].Data)
	}
	data := make([]byte, 0, size)
	for i := range row.Cells {
		c := &row.Cells[i]
		data = append(data, c.Data...)
		c.Data = data[len(data)-len(c.Data) : len(data) : len(data)]
	}
	return row, err
}

// viewRow is decodeRow but for the cells' data, which stays where it is.
func viewRow(encoded []byte, versions int) (store.Row, error) {
	r, err := readRow(encoded)
	if err != nil {
		return store.Row{}, err
	}
	var row store.Row
	if r.tombstone > 0 {
		row.DeletedAt = time.UnixMilli(int64(r.tombstone - 1)).UTC()
	}
	var cells, names int
	err = r.newest(versions, func(c cellView) {
		cells++
		names += len(c.shelf)
	})
	if err != nil || cells == 0 {
		return row, err
	}
	row.Cells = make([]store.Cell, 0, cells)
	var shelves strings.Builder
	shelves.Grow(names)
	_ = r.newest(versions, func(c cellView) { // the first walk has found every error
		shelves.Write(c.shelf)
		row.Cells = append(row.Cells, store.Cell{
			Shelf: shelves.String()[shelves.Len()-len(c.shelf):], AsOf: time.UnixMilli(int64(c.asOf)).UTC(), Data: c.data,
		})
	})
	return row, nil
}

// newest calls yield with the newest versions of each shelf. It walks over a copy, so it can be called again.
func (r rowReader) newest(versions int, yield func(cellView)) error {
	var limit generations
	for {
		c, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		if limit.admit(c.shelf, versions) {
			yield(c)
		}
	}
}
