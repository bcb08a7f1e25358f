package modelfile

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

type number interface {
	int8 | uint32 | uint64 | float32
}

// numbers reads little-endian numbers where they are, or a copy of them if this machine has them the other way round
// or wants them elsewhere. Bytes that are no whole number are left out, which the content's sizes then show.
func numbers[T number](b []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	if littleEndian() && uintptr(unsafe.Pointer(&b[0]))%uintptr(size) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
	}
	out := make([]T, n)
	binary.Decode(b, binary.LittleEndian, out) // of numbers, as many as there are: nothing can fail
	return out
}

// raw is what numbers reads.
func raw[T number](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	if littleEndian() {
		return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
	}
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, x)
	return b.Bytes()
}

func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}
