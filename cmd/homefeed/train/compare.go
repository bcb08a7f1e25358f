package train

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"homefeed/services/word2vec/evaluate"
	"homefeed/services/word2vec/sgns"
	"homefeed/services/word2vec/vectors"
)

// CompareConfig is what train compare is told.
type CompareConfig struct {
	Source
	sgns.Config
	Queries int // how many playlists to ask about at most; 0: all
	Rounds  int // how often to run each command
	// Command is the other trainer. {in} in it stands for the file of playlists as text, {bin} or {txt} for the file
	// of vectors that it is to write in word2vec's binary or text format, and {seed} for the seed of the round.
	Command []string
	// Self is this program.
	Self string
}

// Validate names the field that is wrong and what would be right; CheckCommand looks at Command.
func (c CompareConfig) Validate() error {
	if c.Rounds < 1 || c.Rounds > 100 {
		return fmt.Errorf("rounds: %d: want 1 to 100", c.Rounds)
	}
	return cmp.Or(c.Source.Validate(), c.Config.Validate(), Test{Seeds: 1, Queries: c.Queries}.Validate())
}

// CheckCommand says what a command needs.
func (c CompareConfig) CheckCommand() error {
	line := strings.Join(c.Command, " ")
	if !strings.Contains(line, "{in}") || strings.Contains(line, "{bin}") == strings.Contains(line, "{txt}") {
		return fmt.Errorf("command %q behind --: want one that reads {in} and writes {bin} or {txt}", line)
	}
	return nil
}

// contender is one of the commands.
type contender struct {
	name    string
	args    func(seed uint64) []string
	out     string // the vectors it writes
	seconds []float64
	scores  []evaluate.Score
}

// Compare runs the other trainer and this one, exactly and with shared negatives, one after the other and all of that
// Rounds times with the next seed, as processes of their own on the same playlists. It writes a table of their
// times, as the median of the rounds, of their speeds as a multiple of the other's, as the median of each round's
// ratio, and of how well their vectors guess the next track.
func Compare(ctx context.Context, cfg CompareConfig, out io.Writer) error {
	corpus, err := cfg.load(ctx, out)
	if err != nil {
		return err
	}
	test, err := evaluate.NewTest(corpus, cfg.Queries, cfg.Seed)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "homefeed-compare-")
	if err != nil {
		return fmt.Errorf("making a directory to compare in: %w", err)
	}
	defer os.RemoveAll(dir)
	in := filepath.Join(dir, "playlists.txt")
	if err := writePlaylists(in, test.Train); err != nil {
		return err
	}
	all := cfg.contenders(in, dir)
	for round := range cfg.Rounds {
		for _, c := range all {
			took, err := timed(ctx, c.args(cfg.Seed+uint64(round)))
			if err != nil {
				return fmt.Errorf("running %s: %w", c.name, err)
			}
			c.seconds = append(c.seconds, took.Seconds())
			fmt.Fprintf(out, "round %d of %d: %s took %.2f s\n", round+1, cfg.Rounds, c.name, took.Seconds())
		}
		for _, c := range all { // when nobody's time is taken
			if err := c.judge(ctx, test); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "\n%d playlists, %d tracks, %d different ones, %d epochs; next track in %d playlists\n\n",
		test.Train.Playlists(), test.Train.Words(), test.Train.Tracks(), cfg.Epochs, test.Queries())
	return compared(out, all, test.Train.Words()*cfg.Epochs)
}

func (c *contender) judge(ctx context.Context, test *evaluate.Test) error {
	v, err := vectors.Load(c.out)
	if err != nil {
		return fmt.Errorf("looking at what %s wrote: %w", c.name, err)
	}
	score, err := test.Vectors(ctx, v)
	if err != nil {
		return err
	}
	c.scores = append(c.scores, score)
	return nil
}

func compared(out io.Writer, all []*contender, words int) error {
	table := newTable(out)
	fmt.Fprintf(table, "\tseconds\twords/s\tspeed\tHR@%d\tNDCG@%d\t\n", evaluate.K, evaluate.K)
	theirs := all[0]
	for _, c := range all {
		ratios := make([]float64, len(c.seconds))
		for i := range ratios {
			ratios[i] = theirs.seconds[i] / c.seconds[i]
		}
		s, err := evaluate.Summarise(c.scores)
		if err != nil {
			return err
		}
		score := result{c.name, s}
		fmt.Fprintf(table, "%s\t%.2f\t%.0f\t×%.2f\t%s\t%s\t\n", c.name, median(c.seconds),
			float64(words)/median(c.seconds), median(ratios), score.hitRate(), score.ndcg())
	}
	return table.Flush()
}

// contenders are the other command, and then ours in its ways.
func (c CompareConfig) contenders(in, dir string) []*contender {
	theirs := &contender{name: filepath.Base(c.Command[0]), out: filepath.Join(dir, "theirs.bin")}
	if strings.Contains(strings.Join(c.Command, " "), "{txt}") {
		theirs.out = filepath.Join(dir, "theirs.txt")
	}
	theirs.args = func(seed uint64) []string {
		fill := strings.NewReplacer("{in}", in, "{bin}", theirs.out, "{txt}", theirs.out, "{seed}", strconv.FormatUint(seed, 10))
		args := slices.Clone(c.Command)
		for i := range args {
			args[i] = fill.Replace(args[i])
		}
		return args
	}
	all := []*contender{theirs}
	ours := func(name string, exact bool, threads int) {
		out := filepath.Join(dir, fmt.Sprintf("ours-%d.bin", len(all)))
		all = append(all, &contender{name: name, out: out, args: func(seed uint64) []string {
			cfg := c.Config
			cfg.Exact, cfg.Threads, cfg.Seed = exact, threads, seed
			return append([]string{c.Self}, arguments(in, out, cfg)...)
		}})
	}
	ours("homefeed -exact", true, 1)
	ours("homefeed", false, 1)
	if n := runtime.NumCPU(); n > 1 {
		ours(fmt.Sprintf("homefeed -exact -threads %d", n), true, n)
		ours(fmt.Sprintf("homefeed -threads %d", n), false, n)
	}
	return all
}

// arguments are those of homefeed train with a configuration.
func arguments(in, out string, c sgns.Config) []string {
	float := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	return []string{
		"train", "-in=" + in, "-out=" + out, fmt.Sprintf("-dim=%d", c.Dim), fmt.Sprintf("-window=%d", c.Window),
		fmt.Sprintf("-epochs=%d", c.Epochs), fmt.Sprintf("-negative=%d", c.Negative), fmt.Sprintf("-min-count=%d", c.MinCount),
		"-sample=" + float(c.Sample), "-exponent=" + float(c.Exponent), "-learning-rate=" + float(c.LearningRate),
		fmt.Sprintf("-seed=%d", c.Seed), fmt.Sprintf("-exact=%v", c.Exact), fmt.Sprintf("-threads=%d", c.Threads),
	}
}

// timed is how long a command takes. The error has the end of what it said.
func timed(ctx context.Context, args []string) (time.Duration, error) {
	var said tail
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said))
	}
	return time.Since(start), nil
}

// tail keeps the last part of what is written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	const most = 2_000
	*t = append(*t, p...)
	*t = (*t)[max(0, len(*t)-most):]
	return len(p), nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// writePlaylists writes a corpus as text.
func writePlaylists(path string, c *sgns.Corpus) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing playlists: %w", err)
	}
	w := bufio.NewWriter(f)
	for i := range c.Playlists() {
		for j, track := range c.Playlist(i) {
			if j > 0 {
				w.WriteByte(' ')
			}
			w.WriteString(c.ID(track))
		}
		w.WriteByte('\n')
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("writing playlists: %w", err)
	}
	return nil
}
