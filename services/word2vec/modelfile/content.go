// Package modelfile is a model in one file: ids, vectors, the index of both, and what else is known of the tracks. The
// file is laid out as a search needs it, so it is mapped into memory and not read; programs that serve the same file
// share that memory.
package modelfile

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/vectors"
)

// Bounds of a model, besides those of vectors.
const (
	MaxName   = 64  // bytes
	MaxLabels = 512 // different ones
	maxLabel  = 32  // bytes
)

// Info is what a model says of itself.
type Info struct {
	Name    string
	Version string     // 16 hex digits; equal content, equal version
	Recall  float64    // the share of the 10 nearest that searches were to find when it was built
	Report  ivf.Report // what they did find
	Seed    uint64     // of the build
}

// Content is everything of a model. It must not be changed, nor used after Close.
type Content struct {
	Info
	*ivf.Index
	ids    ids
	order  []uint32 // where each row was in the vectors that the model was made from
	labels labels
	close  func() error // nil: there is nothing to give back
}

// Options says how a model is made of vectors. Zero fields take the defaults.
type Options struct {
	Name string // "" stays empty
	// Labels are what is known of tracks: the markets that they may be played in, or that they are explicit. Searches
	// can be limited by them. Tracks that the model lacks are passed over.
	Labels map[string][]string
	Index  ivf.Options
}

// New makes a model. It takes the time that building the index takes, and fails for options out of their bounds and
// when ctx ends.
func New(ctx context.Context, v *vectors.Vectors, o Options) (*Content, error) {
	if len(o.Name) > MaxName || strings.ContainsRune(o.Name, 0) {
		return nil, fmt.Errorf("name %.100q: want at most %d bytes, none of them 0", o.Name, MaxName)
	}
	built, err := ivf.Build(ctx, v.Dim(), v.All(), o.Index)
	if err != nil {
		return nil, fmt.Errorf("building index: %w", err)
	}
	c := assemble(v, built)
	c.Name, c.Seed, c.Recall = o.Name, o.Index.Seed, o.Index.Recall
	if c.Recall == 0 {
		c.Recall = ivf.DefaultRecall
	}
	if c.labels, err = newLabels(c, o.Labels); err != nil {
		return nil, err
	}
	c.Version = c.labels.digest(v)
	return c, nil
}

// Scanned is a model without lists: every search compares all tracks.
func Scanned(v *vectors.Vectors) *Content {
	c := assemble(v, ivf.Scan(v.Dim(), v.All()))
	c.Recall, c.Version = 1, v.Digest()
	return c
}

func assemble(v *vectors.Vectors, built *ivf.Built) *Content {
	names, order := make([]string, v.Len()), make([]uint32, v.Len())
	for row, at := range built.Order {
		order[row], names[row] = uint32(at), v.ID(at)
	}
	return &Content{Info: Info{Report: built.Report}, Index: built.Index, ids: newIDs(names), order: order}
}

// Close gives the memory of a mapped model back: nothing that points into it may be used any more.
func (c *Content) Close() error {
	if c.close == nil {
		return nil
	}
	err := c.close()
	c.close = nil
	return err
}

// ID is the track of a row.
func (c *Content) ID(row int) string { return string(c.ids.at(row)) }

// Find is the row of a track.
func (c *Content) Find(id string) (row int, ok bool) { return c.ids.find(id) }

// Labels are the names of the labels that tracks of this model have, in alphabetical order.
func (c *Content) Labels() []string { return c.labels.names }

// Accept is a filter for searches: rows with every label of with and none of without. Labels that no track has are
// no error: with one of them nothing passes.
func (c *Content) Accept(with, without []string) func(row int) bool {
	return c.labels.accept(with, without)
}

// Vectors is a copy of the vectors that the model was made from, in their order.
func (c *Content) Vectors() (*vectors.Vectors, error) {
	names, all := make([]string, c.Len()), make([]float32, c.Len()*c.Dim)
	for row, at := range c.order {
		names[at] = c.ID(row)
		copy(all[int(at)*c.Dim:], c.Row(row))
	}
	return vectors.New(names, c.Dim, all)
}

// validate says what is wrong with a model that New didn't make, so that nothing that is done with it later can fail.
func (c *Content) validate() error {
	if err := c.Index.Validate(); err != nil {
		return err
	}
	n := c.Len()
	if err := errors.Join(c.ids.validate(n), c.labels.validate(n)); err != nil {
		return err
	}
	if len(c.order) != n {
		return fmt.Errorf("order of %d rows: want %d", len(c.order), n)
	}
	seen := make([]bool, n)
	for row, at := range c.order {
		if int(at) >= n || seen[at] {
			return fmt.Errorf("order: row %d is at %d: want each of %d places once", row, at, n)
		}
		seen[at] = true
	}
	return nil
}
