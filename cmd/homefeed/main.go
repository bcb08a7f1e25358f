// Command homefeed is every serving role, and the tools, as subcommands of one binary. Neither Beam nor any local
// stand-in is linked in.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// command is one subcommand.
type command struct {
	name, doc string
	action    action
}

// action is what a subcommand does: its configuration, which its flags set.
type action interface {
	// flags registers the flags and sets the defaults.
	flags(fs *flag.FlagSet)
	// check says what is wrong with the flags' values, and with the arguments after them. Every error names the
	// flag and what would be right.
	check(rest []string) error
	// run does it until it is done or ctx ends, which is when the process is asked to.
	run(ctx context.Context, env environment) error
}

// environment is what a subcommand may use of the process around it.
type environment struct {
	out io.Writer
	log *slog.Logger
}

func commands() []command {
	return []command{
		{"api", "serve Home and take in events", &apiConfig{}},
		{"cms", "let editors arrange Home", &cmsConfig{}},
		{"refresh", "turn triggers into rows", &refreshConfig{}},
		{"songsplayed", "serve what listeners played, hearted and followed", &songsPlayedConfig{}},
		{"word2vec", "serve what is near", &word2VecConfig{}},
		{"catalog", "serve tracks and artists", &catalogConfig{}},
		{"replay", "send a log of listening to the API", &replayConfig{}},
		{"train", "learn vectors from playlists", &trainConfig{}},
		{"train eval", "say how well vectors guess the next track", &evalConfig{}},
		{"train sweep", "try settings, and draw how well they do", &sweepConfig{}},
		{"train compare", "time another trainer beside this one", &compareConfig{}},
		{"index", "make a model of vectors, for fast searches", &indexConfig{}},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings handed in: 0 after an orderly end, 1 when something failed, 2 for wrong flags.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		usage(errOut)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(out)
		return 0
	}
	if c, rest, known := find(args); known {
		return c.run(ctx, rest, out, errOut)
	}
	fmt.Fprintf(errOut, "homefeed: unknown command %q\n\n", args[0])
	usage(errOut)
	return 2
}

// find is the command that args begin with, of which some have two words, and what follows.
func find(args []string) (c command, rest []string, known bool) {
	for _, c := range slices.Backward(commands()) { // train eval stands behind train
		words := strings.Fields(c.name)
		if len(args) >= len(words) && slices.Equal(words, args[:len(words)]) {
			return c, args[len(words):], true
		}
	}
	return command{}, nil, false
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: homefeed COMMAND [flags]; homefeed COMMAND -h tells a command's flags")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-13s %s\n", c.name, c.doc)
	}
}

func (c command) run(ctx context.Context, args []string, out, errOut io.Writer) int {
	fs := c.flagSet()
	err := parse(fs, c.action, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(out, "homefeed %s: %s\n", c.name, c.doc)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return 0
	case err != nil:
		fmt.Fprintf(errOut, "%v\nhomefeed %s -h tells the flags\n", err, c.name)
		return 2
	}
	err = c.action.run(ctx, environment{out, slog.New(slog.NewJSONHandler(errOut, nil))})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if err != nil {
		fmt.Fprintf(errOut, "homefeed %s: %v\n", c.name, err)
		return 1
	}
	return 0
}
