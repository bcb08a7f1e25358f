# Everything a developer runs. `make demo` and `make test` are all that a newcomer needs.
GO ?= go
DATA ?= data/demo
LISTEN ?= 127.0.0.1:8080
ADMIN ?= 127.0.0.1:9090
FUZZTIME ?= 10s
# The packages that link Beam take minutes to build with the race detector, so they are built without it.
BEAM := ./pipeline/beamgraph/... ./cmd/pipeline/...
PKGS = $(shell $(GO) list ./... | grep -v -e homefeed/pipeline/beamgraph -e homefeed/cmd/pipeline)

.PHONY: demo demo-beam test check bench fuzz generate build clean

demo: ## events become cards on Home, in one process; Ctrl-C ends it
	$(GO) build -o bin/dev ./cmd/dev
	@exec bin/dev -data $(DATA) -listen $(LISTEN) -admin $(ADMIN) -demo

demo-beam: ## the same with the Beam graph on Prism as the pipeline, in a process of its own
	$(GO) build -o bin/ ./cmd/dev ./cmd/pipeline
	@exec bin/dev -data $(DATA)-beam -listen $(LISTEN) -admin $(ADMIN) -demo -driver beam -pipeline bin/pipeline

test: ## every test, after installing what only tests need
	sh deploy/test-setup.sh
	$(MAKE) check
	$(GO) test -race -shuffle=on -timeout 15m $(PKGS)
	$(GO) test -shuffle=on -timeout 15m $(BEAM)

check: ## formatting, vet, and generated code against its source
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'run gofmt on:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	sh deploy/check-generated.sh

generate: ## code from every .proto
	$(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate

build: ## production binaries into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/homefeed ./cmd/pipeline

bench: ## every benchmark, once
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz: ## each fuzz test for FUZZTIME
	sh deploy/fuzz.sh $(FUZZTIME)

clean:
	rm -rf bin data
