package embedded

import (
	"fmt"
	"log/slog"
)

// serverLog passes the server's log on. What would end a stand-alone server is reported on fatal instead.
type serverLog struct {
	logger *slog.Logger
	fatal  chan<- string
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.logger.Debug("bus server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.logger.Warn("bus server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.logger.Error("bus server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default: // the first reason is the one that counts
	}
}

func (l *serverLog) Debugf(string, ...any) {}

func (l *serverLog) Tracef(string, ...any) {}
