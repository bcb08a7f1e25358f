package modelfile

import (
	"hash/crc32"
	"runtime"
	"sync/atomic"
	"testing"
)

// One processor has an endless caller and a checksum to compute, which takes much less than a time slice.
func TestChecksumLetsOthersGoFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var turns atomic.Int64
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !done.Load() {
			turns.Add(1)
			runtime.Gosched()
		}
	}()
	const blocks = 20
	b := make([]byte, blocks*turn+1)
	b[0], b[len(b)-1] = 1, 2
	sum := checksum(b)
	got := turns.Load()
	done.Store(true)
	<-ended
	if got < blocks-1 {
		t.Errorf("others had %d turns in %d blocks: want one after each", got, blocks)
	}
	if want := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)); sum != want {
		t.Errorf("checksum in blocks %08x: want %08x", sum, want)
	}
}
