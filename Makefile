# Everything one does with this tree. It needs Go and make; the race detector
# also needs a C compiler. Tools come from tools/go.mod and land in bin/tools.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO ?= go
TOOLS := $(CURDIR)/bin/tools

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector links through a C compiler. CI must have one.
ifneq ($(shell command -v $(or $(CC),cc) 2>/dev/null),)
RACE ?= -race
else ifeq ($(CI),true)
RACE ?= -race
else
$(info *** no C compiler: tests run WITHOUT the race detector ***)
RACE ?=
endif

# A process under the race detector waits a second before it ends, for races that it
# may still see. The tests run many processes: a moment is enough for each.
export GORACE ?= atexit_sleep_ms=50

TEST_TIMEOUT ?= 15m
PACKAGES ?= ./...
SEEDS ?= 1000
KILLS ?= 200
PROCESSES ?= 100
SAGAS ?= 10000
RABBITMQ_KILLS ?= 50
MARIADB_KILLS ?= 50
BANK ?= 5m
DURATION ?= 0
ROBUSTNESS ?= ./tests/robustness ./tests/sagas ./tests/workers ./tests/locks ./tests/transactions ./tests/shards
RUN ?= .
FUZZTIME ?= 20s
BENCHTIME ?= 1s
HTTP_TIME ?= 60
DEMO ?=

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/fenfa, stamped with version and commit
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/fenfa ./cmd/fenfa

.PHONY: demo
demo: build ## distribute orders while a worker and the node are killed; DEMO="--orders 50000" passes flags
	bin/fenfa demo $(DEMO)

.PHONY: test
test: ## run all tests under the race detector; PACKAGES=./internal/kv picks some
	$(GO) test $(RACE) -timeout $(TEST_TIMEOUT) $(PACKAGES)

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/buf ## run golangci-lint, and buf lint on the wire format
	$(TOOLS)/golangci-lint run ./...
	cd api && $(TOOLS)/buf lint

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint $(TOOLS)/buf ## format Go and .proto files in place
	$(TOOLS)/golangci-lint fmt ./...
	cd api && $(TOOLS)/buf format --write

.PHONY: generate
generate: $(TOOLS)/buf ## regenerate all that is generated: wire types, configuration sample, reference pages
	cd api && $(TOOLS)/buf generate
	$(GO) generate ./...

.PHONY: verify
verify: $(TOOLS)/golangci-lint $(TOOLS)/buf ## fail on stale generated files, formatting, or an untidy module file
	tools/verify.sh

.PHONY: bench
bench: ## run the Go benchmarks; BENCHTIME=5s PACKAGES=./internal/balance. Whole-system ones: bin/fenfa bench
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -timeout 60m $(PACKAGES)

.PHONY: simulate
simulate: ## run SEEDS=1000 seeds of the partition simulation
	FENFA_SEEDS=$(SEEDS) $(GO) test -count 1 -timeout 0 -run Simulat ./internal/...

.PHONY: robustness
robustness: ## kill the real node and workers KILLS=200 times under load (the node for DURATION=1h), deploy workers in PROCESSES=100 processes, run SAGAS=10000 sagas, kill node and RabbitMQ RABBITMQ_KILLS=50 times, node and MariaDB MARIADB_KILLS=50 times, move money for BANK=5m on each store, and check the history
	FENFA_KILLS=$(KILLS) FENFA_PROCESSES=$(PROCESSES) FENFA_SAGAS=$(SAGAS) FENFA_RABBITMQ_KILLS=$(RABBITMQ_KILLS) FENFA_MARIADB_KILLS=$(MARIADB_KILLS) FENFA_BANK=$(BANK) FENFA_DURATION=$(DURATION) $(GO) test -count 1 -timeout 0 -v -run '$(RUN)' $(ROBUSTNESS)

.PHONY: rabbitmq-kills
rabbitmq-kills: ## kill a RabbitMQ server, and the leader of a cluster, KILLS=200 times under load
	FENFA_KILLS=$(KILLS) $(GO) test -count 1 -timeout 0 -v -run Killed ./internal/broker/rabbitmq

.PHONY: fuzz
fuzz: ## fuzz every decoder and parser for FUZZTIME=20s each
	tools/fuzz.sh $(FUZZTIME)

.PHONY: fuzz-http
fuzz-http: build ## fuzz the HTTP API of a node from its OpenAPI document for HTTP_TIME=60 seconds
	tools/fuzz-http.sh $(HTTP_TIME)

.PHONY: openapi
openapi: ## validate the OpenAPI document, and let a client generated from it work against a real node
	tools/openapi.sh

.PHONY: readme
readme: ## run the commands of README.md in a copy of the tree
	tools/readme.sh README.md

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

.PHONY: ci
ci: ## do all that CI does
	.ci/run

# Tools, built once for each version of tools/go.mod. The protoc plugins are run
# by buf through "go tool" (api/buf.gen.yaml).
$(TOOLS)/golangci-lint: tool = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/buf: tool = github.com/bufbuild/buf/cmd/buf
$(TOOLS)/benchstat: tool = golang.org/x/perf/cmd/benchstat
$(TOOLS)/%: tools/go.mod tools/go.sum
	@echo "building $* (pinned in tools/go.mod)"
	@mkdir -p $(TOOLS)
	@$(GO) -C tools build -o $@ $(tool)
	@touch $@
