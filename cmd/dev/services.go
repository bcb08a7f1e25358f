package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"homefeed/api"
	"homefeed/api/apierror"
	"homefeed/api/homegrpc"
	"homefeed/services/catalog"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
	"homefeed/services/songsplayed/tablecache"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/word2vecpb"
	"homefeed/shelves/shelf"
)

// clients ask the three services through their gRPC handlers even here: what runs is what production runs, less the
// transport.
type clients struct {
	plays   *songsplayed.Client
	vectors shelf.Word2Vec
	catalog shelf.Catalog
}

// homes is the API for gRPC, whose services must be known before it listens, and so before there is an API.
type homes struct{ api atomic.Pointer[api.API] }

// ServeHTTP is UNAVAILABLE until the API is there.
func (h *homes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v1 := h.api.Load()
	if v1 == nil {
		apierror.Write(w, apierror.Unavailable("STARTING", "the API is not there yet", time.Second, nil), true)
		return
	}
	v1.ServeHTTP(w, r)
}

// startServices serves songs-played, word2vec and the catalogue in process, and on -grpc too.
func (p *process) startServices(context.Context) error {
	table, err := localtable.Open(filepath.Join(p.cfg.Data, "songsplayed"), localtable.Options{Logger: p.log})
	if err != nil {
		return err
	}
	kept, err := tablecache.New(table, 32<<20)
	if err != nil {
		return errors.Join(err, table.Close())
	}
	p.parts.Close("songs-played table", kept.Close)
	plays, err := songsplayed.NewServer(songsplayed.Options{
		Table: kept, Alone: true, ArtistsOf: p.library.catalog.ArtistsOf, Registerer: p.reg,
	})
	if err != nil {
		return err
	}
	server, err := rpc.NewServer(rpc.ServerOptions{
		Registerer: p.reg, Logger: p.log, Reflection: true, Operators: []string{word2vecpb.Word2Vec_Reload_FullMethodName},
	})
	if err != nil {
		return err
	}
	songsplayed.Register(server, plays)
	near, err := p.openVectors()
	if err != nil {
		return err
	}
	word2vec.Register(server, near.server)
	catalog.Register(server, catalog.NewServer(p.library.catalog))
	homegrpc.Register(server, &p.homes)

	if p.cfg.GRPC != "" {
		if err := p.listenGRPC(server); err != nil {
			return err
		}
	}
	conn, err := rpc.Direct(server, rpc.DialOptions{Registerer: p.reg})
	if err != nil {
		return err
	}
	p.clients = clients{songsplayed.NewClient(conn), nearOrNothing{word2vec.NewClient(conn), near},
		catalog.NewCache(catalog.NewClient(conn), catalog.CacheOptions{})}
	if p.cfg.Retrain > 0 {
		return p.startRetraining(near)
	}
	return nil
}

func (p *process) listenGRPC(server *rpc.Server) error {
	ln, err := net.Listen("tcp", p.cfg.GRPC)
	if err != nil {
		return fmt.Errorf("-grpc: %w", err)
	}
	p.cfg.GRPC = ln.Addr().String()
	p.parts.Go("grpc", func(ctx context.Context) error { return server.Serve(ctx, ln) })
	return nil
}
