package modelfile

import (
	"fmt"
	"math/bits"
	"runtime"
	"unsafe"

	"github.com/cespare/xxhash/v2" // the same hash on every machine and of every release; made for short strings

	"homefeed/pipeline/event"
)

// ids are the tracks' ids by row, and the rows by id, in three blocks that need no work when they are mapped.
type ids struct {
	starts []uint64 // id i is the bytes from starts[i] up to starts[i+1]
	text   []byte
	// slots is a hash table with open addressing, half full at most: an id's row + 1 is at the slot that its hash
	// says, or at the next that was free; 0 is free.
	slots []uint32
}

func newIDs(names []string) ids {
	t := ids{
		starts: make([]uint64, 1, len(names)+1),
		slots:  make([]uint32, 1<<bits.Len(uint(2*len(names)-1))),
	}
	for row, name := range names {
		t.text = append(t.text, name...)
		t.starts = append(t.starts, uint64(len(t.text)))
		slot := t.slot(name)
		for t.slots[slot] != 0 {
			slot = (slot + 1) % len(t.slots)
		}
		t.slots[slot] = uint32(row + 1)
	}
	return t
}

func (t *ids) slot(id string) int { return int(xxhash.Sum64String(id) & uint64(len(t.slots)-1)) }

func (t *ids) at(row int) []byte { return t.text[t.starts[row]:t.starts[row+1]] }

func (t *ids) find(id string) (row int, ok bool) {
	for slot := t.slot(id); ; slot = (slot + 1) % len(t.slots) {
		taken := t.slots[slot]
		if taken == 0 {
			return 0, false
		}
		if string(t.at(int(taken-1))) == id {
			return int(taken - 1), true
		}
	}
}

// validate finds whatever could make at or find fail, or find go on for ever.
func (t *ids) validate(rows int) error {
	if len(t.starts) != rows+1 || t.starts[0] != 0 || t.starts[rows] != uint64(len(t.text)) {
		return fmt.Errorf("ids: %d of them in %d bytes: want %d", len(t.starts)-1, len(t.text), rows)
	}
	if bits.OnesCount(uint(len(t.slots))) != 1 || len(t.slots) < 2*rows {
		return fmt.Errorf("ids: %d slots: want a power of 2 from %d on", len(t.slots), 2*rows)
	}
	for row := range rows {
		if row%4096 == 4095 {
			runtime.Gosched() // see checksum
		}
		if from, to := t.starts[row], t.starts[row+1]; from > to || to > uint64(len(t.text)) || !event.ValidObject(text(t.text[from:to])) {
			return fmt.Errorf("id of row %d: want 1–128 of A–Z a–z 0–9 . _ : -", row)
		}
	}
	taken := 0
	for slot, row := range t.slots {
		if int(row) > rows {
			return fmt.Errorf("ids: slot %d has row %d of %d", slot, row, rows)
		}
		if row > 0 {
			taken++
		}
	}
	if taken != rows {
		return fmt.Errorf("ids: %d slots are taken: want %d, one for each row", taken, rows)
	}
	return nil
}

// text is a string that shares the bytes' memory: for as long as they are looked at, and no longer.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
