package main

import (
	"context"
	"path/filepath"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/local"
	"homefeed/pipeline/refreshpolicy"
	"homefeed/pipeline/trends"
	"homefeed/shelves"
)

// startPipeline runs the stages from the log of events to triggers: with the local driver, or as a Beam graph in a
// process of its own.
func (p *process) startPipeline(ctx context.Context) error {
	if p.cfg.Driver == "beam" {
		return p.startBeam()
	}
	log, err := p.bus.OpenLog(ctx, "pipeline", event.Topics())
	if err != nil {
		return err
	}
	p.parts.Close("event log", log.Close)
	policy, err := refreshpolicy.New(shelves.All(), refreshpolicy.Config{Cooldown: shelves.Cooldown})
	if err != nil {
		return err
	}
	driver, err := local.New(local.Config{
		Log:        log,
		Publisher:  p.bus,
		Recorder:   p.clients.plays,
		Policy:     policy,
		Trends:     &trends.Config{},
		MergeAfter: 10 * time.Second,
		Dir:        filepath.Join(p.cfg.Data, "pipeline"),
		Logger:     p.log,
		Registerer: p.reg,
	})
	if err != nil {
		return err
	}
	p.behind = driver.Behind
	p.parts.Go("pipeline", driver.Run)
	return nil
}
