//go:build !amd64

package dot

import "unsafe"

func kernels() bool { return false }

func rowsKernel(_, _, _ *float32, _, _ int) { panic("dot: no kernels here") }

func oneKernel(_, _ *float32, _ int) float32 { panic("dot: no kernels here") }

func codesKernel(_ *float32, _ *int16, _ *int8, _ *float32, _, _ int) { panic("dot: no kernels here") }

func aboveKernel(_ *float32, _ int, _ float32) int { panic("dot: no kernels here") }

func fetchKernel(_ unsafe.Pointer, _ int) { panic("dot: no kernels here") }
