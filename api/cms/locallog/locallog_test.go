package locallog_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"homefeed/api/cms"
	"homefeed/api/cms/locallog"
	"homefeed/api/cms/logtest"
)

func open(t *testing.T, dir string, fs vfs.FS) *locallog.Log {
	t.Helper()
	log, err := locallog.Open(dir, locallog.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestContract(t *testing.T) {
	logtest.Run(t, func(t *testing.T) cms.Log { return open(t, t.TempDir(), nil) })
}

// TestCrash holds that an acknowledged entry is there after a crash that loses whatever was not synced.
func TestCrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	log := open(t, "cms", fs)
	if err := log.Append(t.Context(), 1, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := log.SaveState(t.Context(), []byte("lost, maybe")); err != nil {
		t.Fatal(err)
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{}) // without anything unsynced
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = open(t, "cms", after)
	defer log.Close()
	entries, err := log.Read(t.Context(), 1, 10)
	if err != nil || len(entries) != 1 || string(entries[0]) != "kept" {
		t.Errorf("%q, %v", entries, err)
	}
}

// TestOneProcess holds that the directory can't be opened twice.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	log := open(t, dir, nil)
	defer log.Close()
	if again, err := locallog.Open(dir, locallog.Options{}); err == nil {
		again.Close()
		t.Error("the directory was opened twice")
	}
}
