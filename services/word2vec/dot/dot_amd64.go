package dot

import (
	"unsafe"

	"golang.org/x/sys/cpu" // the Go project's own, for what the processor has
)

func kernels() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

// rowsKernel is Rows for 8·blocks rows, each of stride bytes, a multiple of 32.
//
//go:noescape
func rowsKernel(out, q, rows *float32, blocks, stride int)

// oneKernel is One for 8·lanes values.
//
//go:noescape
func oneKernel(a, b *float32, lanes int) float32

// codesKernel is Codes for 8·blocks rows, each of stride bytes, a multiple of 16.
//
//go:noescape
func codesKernel(out *float32, q *int16, codes *int8, scales *float32, blocks, stride int)

// aboveKernel is Above for 8·lanes values, at least 8.
//
//go:noescape
func aboveKernel(x *float32, lanes int, than float32) int

// fetchKernel is Fetch of bytes, at least one.
//
//go:noescape
func fetchKernel(x unsafe.Pointer, bytes int)
