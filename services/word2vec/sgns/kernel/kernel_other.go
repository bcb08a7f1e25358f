//go:build !amd64

package kernel

// Best is the fastest kernel that this processor can run.
func Best() Kernel { return Portable() }
