# make test    all that CI checks: vet, staticcheck, unit tests with -race, fuzz seeds, import rules, end-to-end
# make build   dist/bouncefeed
# make deb     the Debian package, in dist/
# make bench   the benchmarks, the 500 MB log among them
# make soak    the kill tests at length: 200 kills each
# make fuzz    each fuzz target for FUZZTIME, guided by coverage; then FUZZEXECS mutations for each parser: hours
# make figures webhooks: posts a second, a million forgeries, ten thousand slow clients

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL     = go tool -modfile=tools/go.mod
E2E      = ./internal/e2e/...
UNIT     = $$(go list ./... | grep -v /internal/e2e)

FUZZTIME  = 1m
FUZZEXECS = 10000000

.PHONY: test deps unit e2e build deb bench soak fuzz figures
.NOTPARALLEL:
test: deps unit e2e

deps:
	packaging/test-deps.sh

unit:
	go vet ./...
	$(TOOL) staticcheck ./...
	go test -race $(UNIT)
	go test -run Hostile ./inputs

e2e: deps
	go build -o dist/e2e/bouncefeed ./cmd/bouncefeed
	BOUNCEFEED_E2E_BINARY=$(CURDIR)/dist/e2e/bouncefeed go test -count=1 -timeout=15m -parallel 4 -v $(E2E)

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o dist/bouncefeed ./cmd/bouncefeed

deb:
	packaging/build-deb.sh

bench:
	go test -run '^$$' -bench . -benchmem $(UNIT)

soak: deps
	BOUNCEFEED_E2E_KILLS=200 go test -count=1 -timeout=60m -v -run 'TestKills|TestHub' ./internal/e2e

# Left to itself, the engine makes a find smaller for a minute before it looks for the next one: of a mail, all its time.
# The volume run streams what it prints only from within a package's directory.
fuzz:
	for package in $(UNIT); do for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$package || exit 1; \
	done; done
	for package in $$(grep -rl --include='*_test.go' 'parsertest\.Fuzz' . | xargs -n 1 dirname | sort -u); do ( cd "$$package" && \
		BOUNCEFEED_FUZZ_EXECS=$(FUZZEXECS) BOUNCEFEED_FUZZ_CORPUS="$$(go env GOCACHE)/fuzz/$$(go list)" \
		go test -count=1 -timeout=0 -run '^Fuzz' ) || exit 1; \
	done

figures: deps
	BOUNCEFEED_E2E_FIGURES=1 go test -count=1 -timeout=30m -v -run TestFigure ./internal/e2e
	BOUNCEFEED_SLOW_CLIENTS=10000 go test -count=1 -timeout=10m -v -run TestWebhookTenThousandSlowClients ./inputs
