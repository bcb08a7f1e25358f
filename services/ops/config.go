package ops

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
)

// LogConfig logs every exported field of a process' configuration struct, once, at start. A field tagged
// `secret:"true"` shows only whether it is set.
func LogConfig(log *slog.Logger, process string, cfg any) {
	log.LogAttrs(context.Background(), slog.LevelInfo, "starting "+process, slog.Attr{Key: "config", Value: slog.GroupValue(attrs(cfg)...)})
}

func attrs(cfg any) []slog.Attr {
	v := reflect.Indirect(reflect.ValueOf(cfg))
	var out []slog.Attr
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name := strings.ToLower(f.Name[:1]) + f.Name[1:]
		switch {
		case f.Tag.Get("secret") == "true":
			out = append(out, slog.Bool(name+"Set", !v.Field(i).IsZero()))
		case f.Type.Kind() == reflect.Struct:
			out = append(out, slog.Attr{Key: name, Value: slog.GroupValue(attrs(v.Field(i).Addr().Interface())...)})
		default:
			out = append(out, slog.String(name, fmt.Sprint(v.Field(i).Interface())))
		}
	}
	return out
}
