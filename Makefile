# memherd's commands. `make` alone lists them. Every target does its own set-up;
# all that must be there before is Go (the version in go.mod) and make.

GO        ?= go
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
ROUNDS    ?= 9
SCALE     ?= 0.1
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build demo test race fuzz bench bench-clients bench-micro lint check tools soak-demo soak-race clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build every package and put the binaries into bin/
	$(GO) build ./...
	@mkdir -p bin
	$(GO) build -o bin/bench ./bench
	@if [ -d nodeserver/memnode ]; then $(GO) build -o bin/memnode ./nodeserver/memnode; fi

demo: ## five nodes, a real database, a hot-key storm, a node killed and back: about 35 s
	@$(GO) run ./bench

test: tools ## all tests; the last two lines say what was skipped and why, and how many passed
	@$(GO) run ./bench/internal/testsum -timeout 4m ./...

race: ## all tests under the race detector, randomised counts scaled by SCALE
	MEMHERD_SCALE=$(SCALE) $(GO) test -race -timeout 8m ./...

fuzz: ## each fuzz target for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: bench-clients bench-micro ## client against gomemcache on memcached, then the micro-benchmarks

bench-clients: tools ## gets of 100 B, interleaved with gomemcache, at 1, 8, 64 and 256 goroutines
	@$(GO) run ./bench compare -rounds $(ROUNDS)

bench-micro: ## ring lookup, near-cache hit, sketch update
	$(GO) test -run '^$$' -bench '^Benchmark(Lookup|Clock|NearHit|NearMiss|Observe)' -benchtime $(BENCHTIME) ./ring ./hotkey

lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not gofmt'ed:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

check: lint test race ## what .ci/run does: lint, tests, race detector

soak-demo: ## the demo ten times as long, three seeds
	@set -e; for s in 1 2 3; do $(GO) run ./bench demo -duration 5m -seed $$s; done

soak-race: ## the race tests at full scale
	MEMHERD_SCALE=1 $(GO) test -race -timeout 60m ./...

tools: ## install memcached where it is missing and can be had (apt, as root)
	@.ci/tools

clean: ## remove what the other targets left behind
	rm -rf bin out
