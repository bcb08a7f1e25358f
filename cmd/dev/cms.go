package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"homefeed/api"
	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/locallog"
	cmspage "homefeed/api/cms/page"
	"homefeed/api/cms/preview"
	"homefeed/api/cms/server"
	"homefeed/cmd/dev/devtoken"
	"homefeed/shelves"
)

// startCMS opens the editors' log and makes v1 show what they publish.
func (p *process) startCMS(v1 *api.API) error {
	log, err := locallog.Open(filepath.Join(p.cfg.Data, "cms"), locallog.Options{Logger: p.log})
	if err != nil {
		return err
	}
	p.parts.Close("CMS log", log.Close)
	p.desk, err = cms.NewDesk(cms.Config{Log: log, Start: api.DefaultPlacements(shelves.All()), Registerer: p.reg, Logger: p.log})
	if err != nil {
		return err
	}
	p.parts.Go("published placements", func(ctx context.Context) error {
		return p.desk.Follow(ctx, time.Minute, func(v cms.Version) error { return v1.SetPlacements(v.Placements) })
	})
	return nil
}

// cmsRoutes is the CMS: its pages, where anybody may be any editor, and its API.
func (p *process) cmsRoutes(mux *http.ServeMux) error {
	editors, err := server.New(server.Config{
		Desk:       p.desk,
		Verifier:   devtoken.Verifier{},
		Registerer: p.reg,
		Log:        p.log,
		Checker:    check.Checker{Shelves: shelves.All(), Preview: preview.New(p.rows, shelves.All()), Sample: p.seen.sample, Log: p.log},
	})
	if err != nil {
		return err
	}
	var people []cmspage.Person
	for _, who := range [][2]string{{"publisher", "pia"}, {"editor", "ed"}, {"editor", "edda"}, {"viewer", "vic"}} {
		people = append(people, cmspage.Person{Name: fmt.Sprintf("%s, %s", who[1], who[0]), Token: "dev-service:" + who[0] + ":" + who[1]})
	}
	pages, err := cmspage.New(cmspage.Config{People: people})
	if err != nil {
		return err
	}
	mux.Handle(server.Path, editors)
	mux.Handle("/cms/", pages)
	return nil
}
