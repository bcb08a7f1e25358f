package local_test

import (
	"testing"

	"homefeed/shelves/store"
	"homefeed/shelves/store/local"
	"homefeed/shelves/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Test(t, func(t *testing.T) storetest.Opener {
		dir := t.TempDir()
		return func(t *testing.T) store.Store {
			s, err := local.Open(local.Config{Dir: dir, CacheBytes: 4 << 20, BufferBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}
