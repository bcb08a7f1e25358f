package local

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// options is the engine's setting for rows of some 30 to 100 KB that are overwritten all the time.
func options(fs vfs.FS, cfg Config) *pebble.Options {
	o := &pebble.Options{
		FS:                          fs,
		Merger:                      newMerger(),
		CacheSize:                   cfg.CacheBytes,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      engineLog{cfg.Log},
		MemTableSize:                cfg.BufferBytes,
		MemTableStopWritesThreshold: 4,
		// Every table in level 0 is one more place where an operand of a row may be. Each time they are joined with what
		// is below, all of that is written again.
		L0CompactionThreshold: 4,
		MaxOpenFiles:          256,
		// By itself Pebble ends the process over a damaged block. Here the rows in it are errors, which the ladder of
		// Home can live with, and the others go on. The event's own text has keys in it, and so listeners' ids.
		EventListener: &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
			engineLog{cfg.Log}.Errorf("damaged: %s", info.Path)
		}},
	}
	for i := range o.Levels {
		// A row is larger than a block, so a block is a row. Compressing it would save 15% of the disk and cost
		// more time than the rest of a read.
		o.Levels[i].BlockSize = 32 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return o
}

// engineLog is the engine's way out. Its information is for debugging only.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Infof(format string, args ...any) {
	l.print(slog.LevelDebug, format, args)
}

func (l engineLog) Errorf(format string, args ...any) {
	l.print(slog.LevelError, format, args)
}

// Fatalf must not return: the engine would go on as if the write had succeeded, and acknowledge it.
func (l engineLog) Fatalf(format string, args ...any) {
	if l.log == nil {
		l.log = slog.New(slog.NewTextHandler(os.Stderr, nil)) // a process never ends without a word
	}
	l.print(slog.LevelError, format, args)
	os.Exit(1)
}

func (l engineLog) print(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.log == nil || !l.log.Enabled(ctx, level) {
		return
	}
	l.log.Log(ctx, level, "row store", "engine", fmt.Sprintf(format, args...))
}
