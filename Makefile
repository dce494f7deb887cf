# What stands behind "##" is what `make help` prints.

VERSION  ?= $(shell . packaging/project && echo "$$VERSION")
TOOL      = go tool -modfile=tools/go.mod
UNIT      = $$(go list ./... | grep -v /internal/e2e)
HARNESSED = $$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | sed -n '/ .*parsertest/s/ .*//p')

# What CI is to end with is far more than a test needs: on two busy cores the longest, inputs and e2e, take two minutes.
# Only what hangs is to meet these bounds.
UNIT_TIMEOUT = 15m
E2E_TIMEOUT  = 20m

E2E_DIST = dist/e2e
E2E_ENV  = BOUNCEFEED_E2E_BINARY=$(CURDIR)/$(E2E_DIST)/bouncefeed BOUNCEFEED_E2E_DEBS=$(CURDIR)/$(E2E_DIST) BOUNCEFEED_E2E_NATS=$(CURDIR)/$(E2E_DIST)/nats-server
E2E_TEST = CGO_ENABLED=0 $(E2E_ENV) $(TIDY) go test -count=1 -v
# Nothing is left in /tmp, however a test ends.
TIDY     = packaging/tidy.sh

FUZZTIME   = 1m
FUZZEXECS  = 10000000
BENCHCOUNT = 6
BASELINE   = docs/benchmarks.txt

.DEFAULT_GOAL = help
.PHONY: help test page clean-test quick prepare unit e2e golden build packages source release repo vulnerabilities bench baseline soak fuzz figures
.NOTPARALLEL:

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 11

test: prepare unit e2e ## all that CI checks: vet, staticcheck, unit tests with -race, fuzz seeds, import rules, end-to-end

# What depends on what, and what has passed already, go's test cache knows: of a change, only the tests it reaches run.
quick: ## in seconds: build, vet, staticcheck, and the unit tests that a change reaches, but for the long ones
	go build ./...
	go vet ./...
	$(TOOL) staticcheck ./...
	$(TIDY) go test -short $(UNIT)

clean-test: ## removes what the tests have cached: Debian trees in /var/cache/bouncefeed-test, and dist/e2e
	packaging/test-root.sh --clean
	rm -rf $(E2E_DIST)

prepare: ## builds and fetches what the end-to-end tests work with, so that no time-out counts it
	$(TIDY) packaging/e2e-prepare.sh $(E2E_DIST)

unit: ## vet, staticcheck, unit tests with -race
	go vet ./...
	go vet -tags gen ./cmd/bouncefeed ./internal/agent
	$(TOOL) staticcheck ./...
	go test -race -c -o /dev/null $(UNIT)
	$(TIDY) go test -race -timeout=$(UNIT_TIMEOUT) $(UNIT)
	$(TIDY) go test -run Hostile ./inputs/mailbox

e2e: prepare ## the end-to-end tests: real servers, a booted Debian
	$(E2E_TEST) -timeout=$(E2E_TIMEOUT) -parallel 4 ./internal/e2e/...

golden: ## writes the wanted results in testdata anew, and shows which changed
	go test -count=1 ./outputs $(HARNESSED) -update
	@git status --short -- '*/testdata/*'
	@git diff --stat -- '*/testdata/*'

build: ## dist/bouncefeed
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o dist/bouncefeed ./cmd/bouncefeed

packages: ## the Debian and RPM packages for amd64 and arm64, with their bills of materials, in dist/
	packaging/build.sh

source: ## a Debian source package with the modules vendored, in dist/
	packaging/source.sh

# make release [VERSION=0.1.0] [KEY=release.key]; make repo adds to a repository what it has built
release: ## a tagged commit's packages, built twice and compared, with checksums, signature and notes, in dist/release
	$(if $(filter command environment,$(origin VERSION)),VERSION='$(VERSION)') KEY='$(KEY)' packaging/release.sh

vulnerabilities: ## asks vuln.go.dev for what is known of the code that is reached
	go run golang.org/x/vuln/cmd/govulncheck@latest ./...

MEASURE = mkdir -p dist && go test -run '^$$' -bench . -benchmem -count $(BENCHCOUNT) -timeout=2h $(UNIT) >dist/benchmarks.txt

bench: ## the benchmarks, the 500 MB log among them, compared with docs/benchmarks.txt
	$(MEASURE)
	$(TOOL) benchstat $(BASELINE) dist/benchmarks.txt

baseline: ## the benchmarks become docs/benchmarks.txt
	$(MEASURE)
	grep -v -e '^?' -e '^ok' -e '^PASS' dist/benchmarks.txt >$(BASELINE)

soak: prepare ## for hours: 200 and 1,000 kills, faults of the kernel at every call, 10,000 corruptions of a queue file
	BOUNCEFEED_CORRUPTIONS=10000 $(TIDY) go test -count=1 -timeout=2h -run '^TestCorruptions$$' ./internal/queue
	BOUNCEFEED_E2E_KILLS=200 $(E2E_TEST) -timeout=2h -run 'TestKills$$|TestHub' ./internal/e2e
	BOUNCEFEED_E2E_KILLS=1000 BOUNCEFEED_E2E_FAULTS=all $(E2E_TEST) -timeout=3h -parallel 1 -run 'TestKillsOfEverything|TestFaults' ./internal/e2e

# Chromium and the checkers are 200 MB that make test does without: it reads the page's HTML as far as that goes.
page: ## looks at the page with Chromium, axe-core and the W3C's checker; screenshots in dist/page
	packaging/page-prepare.sh
	mkdir -p $(E2E_DIST) dist/page
	CGO_ENABLED=0 go build -o $(E2E_DIST)/bouncefeed ./cmd/bouncefeed
	BOUNCEFEED_PAGE=1 BOUNCEFEED_PAGE_PICTURES=$(CURDIR)/dist/page $(E2E_TEST) -timeout=1h ./internal/e2e/browser

# Left to itself, the engine makes a find smaller for a minute before it looks for the next one: of a mail, all its time.
# The volume run streams what it prints only from within the package's directory.
fuzz: ## each fuzz target for FUZZTIME, guided by coverage; then FUZZEXECS mutations for each parser: hours
	for package in $(UNIT); do for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$package || exit 1; \
	done; done
	for package in $(HARNESSED); do (cd $$(go list -f '{{.Dir}}' $$package) && \
		BOUNCEFEED_FUZZ_EXECS=$(FUZZEXECS) BOUNCEFEED_FUZZ_CORPUS="$$(go env GOCACHE)/fuzz/$$package" \
		go test -count=1 -timeout=0 -run '^Fuzz') || exit 1; done

figures: prepare ## webhooks: posts a second, a million forgeries, ten thousand slow clients
	BOUNCEFEED_E2E_FIGURES=1 $(E2E_TEST) -timeout=1h -parallel 1 -run TestFigure ./internal/e2e
	BOUNCEFEED_SLOW_CLIENTS=10000 go test -count=1 -timeout=20m -v -run TestWebhookTenThousandSlowClients ./inputs/webhook

# make repo KEY=release.key URL=https://packages.example.org/bouncefeed PACKAGES='dist/*.deb dist/*.rpm'
REPO     = dist/repo
PACKAGES = dist/bouncefeed_*.deb dist/bouncefeed-*.rpm
repo: ## a signed apt and rpm repository of PACKAGES in dist/repo; KEY signs it, URL is where it will be
	KEY='$(KEY)' URL='$(URL)' packaging/repo.sh $(REPO) $(wildcard $(PACKAGES))
