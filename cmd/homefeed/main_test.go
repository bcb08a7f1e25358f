package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"homefeed/deploy/child"
	"homefeed/services/catalog"
	"homefeed/services/catalog/catalogpb"
	"homefeed/services/ops"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/songsplayedpb"
)

// The flags that a role can't do without, right.
var (
	apiArgs     = []string{"api", "-project=p", "-instance=i", "-oidc-issuer=https://issuer.example", "-oidc-audience=a"}
	cmsArgs     = []string{"cms", "-project=p", "-instance=i", "-iap-audience=/projects/1", "-iap-people=@example.com=viewer"}
	signInArgs  = []string{"cms", "-project=p", "-instance=i", "-oidc-issuer=https://issuer.example", "-oidc-audience=a", "-oidc-client-id=c", "-url=https://cms.example"}
	refreshArgs = []string{"refresh", "-project=p", "-instance=i", "-songsplayed=a:1", "-word2vec=dns:///b:2", "-catalog=c:3"}
)

func with(args []string, more ...string) []string {
	return append(append([]string(nil), args...), more...)
}

// TestWrongFlags holds that whoever gets a flag wrong is told which one and what would be right.
func TestWrongFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string // each on errOut
	}{
		"no command":        {nil, []string{"usage: homefeed COMMAND", "refresh", "train"}},
		"unknown command":   {[]string{"serve"}, []string{`unknown command "serve"`, "usage: homefeed COMMAND"}},
		"unknown flag":      {with(apiArgs, "-prot=1"), []string{"-prot", "homefeed api -h"}},
		"a dev token":       {with(apiArgs, "-dev-tokens"), []string{"-dev-tokens"}},
		"nothing":           {[]string{"api"}, []string{"-project is missing: want", "-instance is missing: want", "-oidc-issuer is missing: want", "-oidc-audience is missing: want"}},
		"no form":           {with(refreshArgs, "-lease=long"), []string{`"long"`, "-lease", "duration", "acknowledgement deadline"}},
		"no value":          {[]string{"api", "-project"}, []string{"-project", "Google Cloud project"}},
		"an argument":       {with(apiArgs, "now"), []string{`argument "now": want flags only`}},
		"nobody comes in":   {[]string{"cms", "-project=p", "-instance=i"}, []string{"-iap-audience and -oidc-issuer are missing: want one or both"}},
		"an unknown role":   {with(cmsArgs, "-iap-people=ann@example.com=boss"), []string{`-iap-people "ann@example.com=boss": want who=role`}},
		"no address":        {with(cmsArgs, "-iap-people=ann=editor"), []string{`-iap-people "ann=editor": want who=role`}},
		"people, no proxy":  {with(cmsArgs, "-iap-audience="), []string{"-iap-audience is missing: want"}},
		"half an issuer":    {with(cmsArgs, "-oidc-issuer=https://issuer.example"), []string{"-oidc-audience is missing: want"}},
		"proxy and sign-in": {with(signInArgs, "-iap-audience=/projects/1", "-iap-people=@example.com=viewer"), []string{"want none of them beside -iap-audience"}},
		"a secret alone":    {with(cmsArgs[:3], "-oidc-client-secret-file=s"), []string{"-oidc-client-id is missing: want", "-oidc-issuer is missing: want", "-url is missing: want https://host"}},
		"a page's URL":      {with(signInArgs, "-url=https://cms.example/cms/"), []string{`-url "https://cms.example/cms/": want https://host without a path`}},
		"no TLS":            {with(signInArgs, "-url=http://cms.example"), []string{`-url "http://cms.example": want https://host`, "no session without TLS"}},
		"issuer":            {with(apiArgs, "-oidc-issuer=issuer.example"), []string{`-oidc-issuer "issuer.example": want`, "https://"}},
		"listen":            {with(apiArgs, "-listen=8080"), []string{`-listen "8080": want host:port`}},
		"admin":             {with(refreshArgs, "-admin=127.0.0.1"), []string{`-admin "127.0.0.1": want host:port`}},
		"one address twice": {with(apiArgs, "-listen=:80", "-admin=:80"), []string{`-admin ":80": want another address`}},
		"peer":              {with(refreshArgs, "-word2vec=word2vec"), []string{`-word2vec "word2vec": want host:port`}},
		"peer without host": {with(refreshArgs, "-catalog=dns:///:8081"), []string{`-catalog "dns:///:8081": want host:port`}},
		"short lease":       {with(refreshArgs, "-lease=9s"), []string{`-lease "9s": want`, "10s to 10m"}},
		"part of a second":  {with(refreshArgs, "-lease=10.5s"), []string{`-lease "10.5s": want`, "whole seconds"}},
		"concurrency":       {with(refreshArgs, "-concurrency=0"), []string{`-concurrency "0": want 1`}},
		"no table":          {with(refreshArgs, "-table="), []string{"-table is missing: want"}},
		"songsplayed":       {[]string{"songsplayed"}, []string{"-project is", "-instance is", "-catalog is missing: want host:port"}},
		"word2vec":          {[]string{"word2vec", "-follow=1ms"}, []string{"-model is missing: want the file", `-follow "1ms": want 10ms`}},
		"catalog":           {[]string{"catalog"}, []string{"-file is missing: want the catalogue's file"}},
		"replay":            {[]string{"replay"}, []string{"0 arguments", "want FILE"}},
		"format":            {[]string{"replay", "-format=csv", "log"}, []string{`format: "csv": want tsv or listenbrainz`}},
		"end":               {[]string{"replay", "-shift", "-end=noon", "log"}, []string{`"noon"`, "-end", "2026-01-02T15:04:05Z"}},
		"train":             {[]string{"train"}, []string{"-in is missing: want", "-out is missing: want"}},
		"index":             {[]string{"index", "-recall=2"}, []string{"-in is missing: want", "-out is missing: want a name that ends in .hfm", "-recall 2: want 0.5 to 1"}},
		"model's name":      {[]string{"train", "-in=a", "-out=model"}, []string{`-out "model": want a name that ends in .hfm`}},
		"two sources":       {[]string{"train", "-in=a", "-from-songs-played=b:1", "-out=b.bin"}, []string{"-from-songs-played: want this or -in"}},
		"playlists' format": {[]string{"train", "-in=a", "-format=xml", "-out=b.bin"}, []string{`-format "xml": want text or jsonl`}},
		"pause":             {[]string{"train", "-from-songs-played=b:1", "-pause=-1s", "-out=b.bin"}, []string{"-pause: -1s: want"}},
		"seeds":             {[]string{"train", "eval", "-in=a", "-seeds=0"}, []string{"-seeds: 0: want 1 to 100"}},
		"nothing to try":    {[]string{"train", "sweep", "-in=a"}, []string{"1 combinations: want lists such as -windows 2,3,5"}},
		"no numbers":        {[]string{"train", "sweep", "-in=a", "-windows=2;3"}, []string{"-windows", "want numbers with commas between"}},
		"chart":             {[]string{"train", "sweep", "-in=a", "-dims=2,3", "-chart=c.png"}, []string{`-chart: "c.png": want a name that ends in .svg`}},
		"one bad try":       {[]string{"train", "sweep", "-in=a", "-dims=2,0"}, []string{"-dim: 0: want 1 to"}},
		"no other trainer":  {[]string{"train", "compare", "-in=a", "--", "w2v", "{in}"}, []string{"behind --", "writes {bin} or {txt}"}},
		"window":            {[]string{"train", "-in=a", "-out=b.bin", "-window=0"}, []string{"-window: 0: want 1 to"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := run(t.Context(), c.args, &out, &errOut); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for _, want := range c.want {
				if !strings.Contains(errOut.String(), want) {
					t.Errorf("errors:\n%swant %q among them", errOut.String(), want)
				}
			}
			if out.Len() > 0 {
				t.Errorf("output %q, want it on errors only", out.String())
			}
		})
	}
}

// TestHelp holds that every command tells every flag of its, and is listed itself.
func TestHelp(t *testing.T) {
	var list, errOut bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &list, &errOut); code != 0 || errOut.Len() > 0 {
		t.Errorf("-h: exit code %d, errors %q", code, errOut.String())
	}
	for _, c := range commands() {
		if !strings.Contains(list.String(), "  "+c.name+" ") || !strings.Contains(list.String(), c.doc) {
			t.Errorf("-h lacks %s", c.name)
		}
		var out bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(c.name), "-h"), &out, &errOut); code != 0 || errOut.Len() > 0 {
			t.Errorf("%s -h: exit code %d, errors %q", c.name, code, errOut.String())
		}
		flags := 0
		c.flagSet().VisitAll(func(f *flag.Flag) {
			flags++
			if !strings.Contains(out.String(), "  -"+f.Name) || f.Usage == "" {
				t.Errorf("%s -h lacks -%s, or what it is for", c.name, f.Name)
			}
		})
		if flags == 0 {
			t.Errorf("%s has no flags", c.name)
		}
	}
}

// TestRightFlags holds that the flags a role can't do without are enough.
func TestRightFlags(t *testing.T) {
	for _, args := range [][]string{
		apiArgs, cmsArgs, signInArgs, refreshArgs,
		with(signInArgs, "-url=http://localhost:8080/", "-oidc-client-secret-file=s"),
		{"songsplayed", "-project=p", "-instance=i", "-catalog=c:1"},
		{"word2vec", "-model=m.bin"},
		{"catalog", "-file=c.tsv"},
		{"replay", "-shift", "-end=2026-01-02T15:04:05.678Z", "log.tsv"},
		{"train", "-in=p.txt", "-out=m.txt.gz"},
		{"train", "-from-songs-played=s:1", "-plaintext", "-pause=20m", "-out=m.bin"},
		{"train", "eval", "-in=p.jsonl"},
		{"train", "sweep", "-in=p.txt", "-dims=16, 32", "-exponents=-.5,.75", "-chart=c.svg"},
		{"train", "compare", "-in=p.txt", "--", "w2v", "-train", "{in}", "-output", "{txt}"},
		{"index", "-in=v.bin", "-out=m.hfm", "-recall=0.99"},
	} {
		if err := parseOnly(t, args); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// parseOnly reads a command line without running it.
func parseOnly(t *testing.T, args []string) error {
	t.Helper()
	c, rest, known := find(args)
	if !known {
		t.Fatalf("no command %s", args[0])
	}
	return parse(c.flagSet(), c.action, rest)
}

// answer is what GET url says in the end: it waits for a process that starts.
func answer(t *testing.T, url string, want int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			body, readErr := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == want && readErr == nil {
				return string(body)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("GET %s: %v, want %d", url, err, want)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addrs, err := child.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// TestRoleLives follows a role from its start to its end: alive at once, ready when it has started and its checks
// pass, not ready while it drains, and what it was made of stopped in reverse order, the admin address last.
func TestRoleLives(t *testing.T) {
	admin := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began, checked, drained := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	env := environment{io.Discard, slog.New(slog.DiscardHandler)}
	go func() {
		ended <- serve(ctx, "test", &struct{}{}, admin, env, func(ctx context.Context, r *role) error {
			<-began
			r.health.Add("peer", once(func(context.Context) error {
				select {
				case <-checked:
					return nil
				default:
					return errors.New("the peer is away")
				}
			}))
			r.parts.Go("work", func(ctx context.Context) error {
				<-ctx.Done()
				<-drained
				return nil
			})
			return nil
		})
	}()
	url := "http://" + admin
	answer(t, url+"/healthz", http.StatusOK)
	if body := answer(t, url+"/readyz", http.StatusServiceUnavailable); !strings.Contains(body, "starting") {
		t.Errorf("while it starts: %s", body)
	}
	close(began)
	for !strings.Contains(answer(t, url+"/readyz", http.StatusServiceUnavailable), "the peer is away") {
	}
	close(checked)
	answer(t, url+"/readyz", http.StatusOK)
	stop()
	if body := answer(t, url+"/readyz", http.StatusServiceUnavailable); !strings.Contains(body, "stopping") {
		t.Errorf("while it drains: %s", body)
	}
	close(drained)
	if err := <-ended; err != nil {
		t.Errorf("serve = %v", err)
	}
	if conn, err := net.Dial("tcp", admin); err == nil {
		conn.Close()
		t.Error("the admin address still answers")
	}
}

// TestStartFails holds that a role that can't start says why, and that being stopped while it starts is no failure.
func TestStartFails(t *testing.T) {
	env := environment{io.Discard, slog.New(slog.DiscardHandler)}
	closed := false
	err := serve(t.Context(), "test", &struct{}{}, freeAddr(t), env, func(_ context.Context, r *role) error {
		r.parts.Close("store", func() error { closed = true; return nil })
		return errors.New("no such table")
	})
	if err == nil || !strings.Contains(err.Error(), "no such table") || !closed {
		t.Errorf("serve = %v, store closed: %v", err, closed)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := serve(ctx, "test", &struct{}{}, freeAddr(t), env, func(ctx context.Context, _ *role) error {
		stop()
		<-ctx.Done()
		return ctx.Err()
	}); err != nil {
		t.Errorf("serve, stopped while it started: %v", err)
	}
	if code := run(t.Context(), []string{"word2vec", "-model=/nowhere/m.bin", "-admin=" + freeAddr(t), "-listen=" + freeAddr(t)}, io.Discard, io.Discard); code != 1 {
		t.Errorf("a model that is missing: exit code %d, want 1", code)
	}
}

// TestInterrupted holds that a tool that is stopped says so in a word.
func TestInterrupted(t *testing.T) {
	playlists := filepath.Join(t.TempDir(), "p.txt")
	if err := os.WriteFile(playlists, []byte("a b c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var errOut strings.Builder
	code := run(ctx, []string{"train", "-in=" + playlists, "-out=" + filepath.Join(t.TempDir(), "m.bin")}, io.Discard, &errOut)
	if code != 1 || errOut.String() != "homefeed train: interrupted\n" {
		t.Errorf("exit code %d, %q", code, errOut.String())
	}
}

// TestHealthy holds that a check knows a service that is there from one that is away, and from another one.
func TestHealthy(t *testing.T) {
	tracks, err := catalog.Read(strings.NewReader("track\tartist\ttitle\nt1\tAnn\tOne\n"), "test")
	if err != nil {
		t.Fatal(err)
	}
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	catalog.Register(server, catalog.NewServer(tracks))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()

	r := &role{environment{io.Discard, slog.New(slog.DiscardHandler)}, ops.NewRegistry(), &ops.Health{}, ops.NewParts(slog.New(slog.DiscardHandler))}
	defer r.parts.Stop()
	conn, err := r.dial("catalog", ln.Addr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	check := func(service *grpc.ServiceDesc) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return healthy(conn, service)(ctx)
	}
	if err := check(&catalogpb.Catalog_ServiceDesc); err != nil {
		t.Errorf("the service: %v", err)
	}
	if err := check(&songsplayedpb.SongsPlayed_ServiceDesc); err == nil || !strings.Contains(err.Error(), "SongsPlayed") {
		t.Errorf("another service: %v, want an error that names it", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if err := check(&catalogpb.Catalog_ServiceDesc); err == nil {
		t.Error("a service that is away is healthy")
	}
}
