package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"homefeed/cmd/homefeed/replay"
)

// replayConfig is the tool that sends a log. Its one argument is the log's file.
type replayConfig struct{ replay.Config }

func (c *replayConfig) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Format, "format", replay.TSV, "of FILE: tsv or listenbrainz")
	fs.StringVar(&c.Catalog, "catalog", "", "catalogue `file`, which knows artists and tracks by name")
	fs.StringVar(&c.User, "user", "", "the `listener` of a listenbrainz log that doesn't say")
	fs.BoolVar(&c.Shift, "shift", false, "move the log so that its last event is now, or at -end, and send it at once")
	fs.Func("end", "`time` of the last event with -shift, RFC 3339; the same again sends the same events (default now)", func(s string) (err error) {
		c.End, err = time.Parse(time.RFC3339, s)
		if err != nil {
			return errors.New("want a time such as 2026-01-02T15:04:05Z")
		}
		return nil
	})
	fs.Float64Var(&c.Speed, "speed", 0, "play the log live from now on, so many `times` as fast as it happened")
	fs.StringVar(&c.To, "to", "http://127.0.0.1:8080", "`URL` of the API")
	fs.StringVar(&c.Token, "token", "", "the `token` of a service with the role importer")
}

func (c *replayConfig) check(rest []string) error {
	if len(rest) != 1 {
		return fmt.Errorf("%d arguments after the flags: want FILE, the log to send", len(rest))
	}
	c.File = rest[0]
	return c.Config.Validate()
}

func (c *replayConfig) run(ctx context.Context, env environment) error {
	return replay.Run(ctx, c.Config, env.out)
}
