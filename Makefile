# Two commands do everything: `make demo` starts Canopy with demo data, `make test` runs all tests.

GO            ?= go
GOLANGCI_LINT  = v2.15.0
TOOLS         := $(CURDIR)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## build everything and serve the demo company with the playground
	./bin/canopy demo

.PHONY: build
build: web/dist ## build the binary with the playground inside: bin/canopy
	$(GO) build -tags ui -o bin/canopy ./cmd/canopy

web/node_modules: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/dist: web/node_modules $(shell find web/src web/*.html web/*.ts web/package.json -type f 2>/dev/null)
	cd web && npm run build
	@touch $@

.PHONY: test
test: ## run all Go tests with the race detector, on SQLite and on a PostgreSQL of their own if there is one
	./scripts/test.sh

SOAK      ?= 1m
SOAK_SEED ?=

.PHONY: soak
soak: ## let 8 workers do everything at once, and 16 agents claim one queue, for SOAK (1m) each on each database, and look for faults
	PACKAGES=./doctor CANOPY_SOAK=$(SOAK) CANOPY_SOAK_SEED=$(SOAK_SEED) ./scripts/test.sh -count=1 -v -run 'TestAMixOfEverything|TestSixteenAgents'

PROVE      ?= 2000000
PROVE_SEED ?=

.PHONY: prove
prove: ## compare PROVE (2000000) answers about access on each database with a naive second evaluator; PROVE_SEED repeats a run
	CANOPY_PROVE=$(PROVE) CANOPY_PROVE_SEED=$(PROVE_SEED) RACE= PACKAGES=./internal/prove ./scripts/test.sh -count=1 -v -run TestNoAnswerIsWrong

.PHONY: test-browser
test-browser: build ## run the browser test of the playground (needs Chromium)
	cd web && npm run check && CANOPY_BINARY=$(CURDIR)/bin/canopy npm test

.PHONY: bench
bench: ## measure Canopy against a floor (BENCH_SIZES=1k,100k BENCH_REPORT=file.md; see docs/benchmarks.md)
	./scripts/bench.sh

.PHONY: generate
generate: ## write all generated code anew
	$(GO) generate ./ent ./graph

.PHONY: lint
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT) ## check style, imports and formatting
	$< run ./...

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv $(TOOLS)/golangci-lint $@

.PHONY: clean
clean: ## remove what was built
	rm -rf bin web/dist web/node_modules
