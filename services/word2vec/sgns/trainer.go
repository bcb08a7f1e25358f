package sgns

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"homefeed/services/word2vec/sgns/kernel"
)

// trainer holds what is learnt: each track has a vector for when it is looked from (in) and one for when it is
// looked for (out). Behind the out vectors each thread has a row of zeros, the target that is none.
type trainer struct {
	Config
	words   *vocabulary
	kernel  kernel.Kernel
	in, out kernel.Rows
	keep    []uint32 // chance of each track to be kept, of 2³²
	shares  []share  // of the random tracks, no more than threads
	blocks  []block
	claimed atomic.Int64 // blocks, over all epochs
}

// block is some playlists: what a thread takes at a time.
type block struct{ first, end int } // in ends

// blockWords is how many tracks a block has, or a few more. Between two blocks a thread reports, looks at the context,
// and changes its share: with four times as many, two threads lost 8% of HR@10 where playlists of one kind stood
// together, and now none.
const blockWords = 2_500

func newTrainer(v *vocabulary, cfg Config, k kernel.Kernel) *trainer {
	cfg.Threads = max(cfg.Threads, 1)
	t := &trainer{
		Config: cfg,
		words:  v,
		kernel: k,
		in:     kernel.NewRows(len(v.ids), cfg.Dim),
		out:    kernel.NewRows(len(v.ids)+cfg.Threads, cfg.Dim),
		keep:   v.keep(cfg.Sample),
		shares: newShares(v.weights(cfg.Exponent), cfg.Threads),
		blocks: v.blocks(),
	}
	// Twice as far from 0 as word2vec.c begins, and as far as gensim does: where a track comes up a few times only,
	// that guesses the next one better (of the orchestra's programmes .0513 and not .0495, HR@10 of 16 seeds, exact).
	r := randomOf(cfg.Seed, math.MaxUint64) // no block has this number
	for i := range v.ids {
		row := t.in.Row(int32(i))
		for k := range cfg.Dim {
			row[k] = (2*r.float() - 1) / float32(cfg.Dim)
		}
	}
	return t
}

func (v *vocabulary) blocks() []block {
	var all []block
	first, start := 0, 0 // playlist and word
	for i, end := range v.ends {
		if end-start >= blockWords || i == len(v.ends)-1 {
			all = append(all, block{first, i + 1})
			first, start = i+1, end
		}
	}
	return all
}

// start is where in words playlist i starts.
func (v *vocabulary) start(i int) int {
	if i == 0 {
		return 0
	}
	return v.ends[i-1]
}

// run has the threads take block after block, in order, until all epochs are through. The error is the context's.
func (t *trainer) run(ctx context.Context, progress func(Progress)) error {
	m := &meter{trainer: t, tell: progress}
	var threads sync.WaitGroup
	for n := range t.Threads {
		w := &worker{trainer: t, nothing: int32(len(t.words.ids) + n)}
		w.step.In, w.step.Out = t.in, t.out
		threads.Go(func() {
			for ctx.Err() == nil {
				n := t.claimed.Add(1) - 1
				if n >= int64(t.Epochs)*int64(len(t.blocks)) {
					return
				}
				m.add(ctx, w.block(n))
			}
		})
	}
	threads.Wait()
	return ctx.Err()
}

// meter adds up what the threads have done.
type meter struct {
	*trainer
	tell  func(Progress)
	mu    sync.Mutex
	words int64
}

func (m *meter) add(ctx context.Context, words int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.words += int64(words)
	if m.tell == nil || ctx.Err() != nil {
		return
	}
	one := int64(len(m.trainer.words.words))
	m.tell(Progress{Epoch: int(m.words / one), Epochs: m.Epochs, Words: m.words, Total: one * int64(m.Epochs)})
}

// worker is one thread.
type worker struct {
	*trainer
	nothing int32 // its row of zeros
	share   share // that random tracks come from
	random  random
	rate    float32
	kept    []int32 // of a sentence
	near    []int32 // of a track
	drawn   []int32 // the random tracks of the next steps, whose rows are on their way to the processor
	next    int     // of drawn, the first to use
	step    kernel.Step
	_       [128]byte // so that no two threads write to one cache line all the time
}

// ahead is how many tracks of a sentence before its turn a track's rows are sent for, and stepsAhead the same of steps
// and random tracks: the row may have to come from another processor's cache, which takes as long as a few steps.
const (
	ahead      = 8
	stepsAhead = 4
)

// block learns from block n of all epochs, and returns how many tracks it held. Its chances and its learning rate
// depend on n alone, not on which thread takes it.
func (w *worker) block(n int64) int {
	w.random = randomOf(w.Seed, uint64(n))
	w.share = w.shareOf(n)
	w.drawn, w.next = w.drawn[:0], 0
	for range stepsAhead * w.Negative {
		w.drawn = append(w.drawn, w.draw())
	}
	words, ends := w.words.words, w.words.ends
	epoch, b := n/int64(len(w.blocks)), w.blocks[n%int64(len(w.blocks))]
	first := w.words.start(b.first)
	start := first
	for _, end := range ends[b.first:b.end] {
		done := (float64(epoch) + float64(start)/float64(len(words))) / float64(w.Epochs)
		w.rate = float32(w.LearningRate * max(1-done, lastRate))
		w.sentence(words[start:end])
		start = end
	}
	return start - first
}

// sentence learns from one playlist, thinned out.
func (w *worker) sentence(words []int32) {
	w.kept = w.kept[:0]
	for _, word := range words {
		if p := w.keep[word]; p == math.MaxUint32 || uint32(w.random.next()>>32) < p {
			w.kept = append(w.kept, word)
		}
	}
	for _, word := range w.kept[:min(ahead, len(w.kept))] {
		w.fetch(word)
	}
	for i, centre := range w.kept {
		if i+ahead < len(w.kept) {
			w.fetch(w.kept[i+ahead])
		}
		w.neighbours(i)
		if !w.Exact {
			w.learn(w.near, centre)
			continue
		}
		for j := range w.near {
			w.learn(w.near[j:j+1], centre)
		}
	}
}

// neighbours are those of the track at i in kept, within a window of random width around it.
func (w *worker) neighbours(i int) {
	less, _ := w.random.below(w.Window)
	width := less + 1
	w.near = append(w.near[:0], w.kept[max(0, i-width):i]...)
	w.near = append(w.near, w.kept[i+1:min(len(w.kept), i+width+1)]...)
}

// learn moves the in vectors of near tracks towards the out vector of the one that they are near to, and away from
// those of random tracks, and these the same way.
func (w *worker) learn(near []int32, centre int32) {
	if len(near) == 0 {
		return
	}
	w.step.From = near
	for first := 0; first <= w.Negative; first += kernel.Targets {
		for j := range w.step.To {
			w.step.To[j], w.step.Label[j], w.step.Rate[j] = w.target(first+j, centre)
		}
		w.kernel.Do(&w.step)
	}
}

// target n of a track is itself for 0, and then random ones until there are enough.
func (w *worker) target(n int, centre int32) (row int32, label, rate float32) {
	switch {
	case n == 0:
		return centre, 1, w.rate
	case n <= w.Negative:
		row = w.drawn[w.next]
		w.drawn[w.next] = w.draw()
		if w.next++; w.next == len(w.drawn) {
			w.next = 0
		}
		if row != centre {
			return row, 0, w.rate
		}
	}
	return w.nothing, 0, 0
}

// draw is a random track, whose row is sent for. With many tracks few rows are near the processor, and with several
// threads many are near another one: a step would spend most of its time waiting for memory.
func (w *worker) draw() int32 {
	track := w.share.draw(&w.random)
	w.kernel.Fetch(w.out, track)
	return track
}

// fetch sends for both rows of a track.
func (w *worker) fetch(track int32) {
	w.kernel.Fetch(w.in, track)
	w.kernel.Fetch(w.out, track)
}

// learnt is the in vectors, one behind the other. The trainer is done with them.
func (t *trainer) learnt() []float32 {
	if t.in.Stride == t.Dim {
		return t.in.Data
	}
	all := make([]float32, 0, len(t.words.ids)*t.Dim)
	for i := range t.words.ids {
		all = append(all, t.in.Row(int32(i))[:t.Dim]...)
	}
	return all
}
