# Postern. The targets a newcomer needs: build, quick, test, demo.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN := bin
LDFLAGS := -s -w -X main.version=$(VERSION)
# checkpassword is started for every login. On amd64 it enters below Go's runtime:
# docs/adr/0003-checkpassword-start.md.
ifeq ($(shell $(GO) env GOOS)/$(shell $(GO) env GOARCH),linux/amd64)
EARLY := -E main.early
endif
FUZZTIME ?= 10s
DEMO := build/demo/demo

.PHONY: all build deps demo-deps quick test lint vulncheck fuzz bench demo demo-up demo-down generate package pictures clean

all: build

build: $(BIN)/checkpassword $(BIN)/policyserver $(BIN)/webhook $(BIN)/posternctl

.PHONY: $(BIN)/checkpassword $(BIN)/policyserver $(BIN)/webhook $(BIN)/posternctl
$(BIN)/checkpassword:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS) $(EARLY)' -o $@ ./checkpassword
$(BIN)/policyserver $(BIN)/webhook $(BIN)/posternctl: $(BIN)/%:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./$*

# Plug-ins beside the webhook: docs/guides/plugins.md.
.PHONY: plugins $(BIN)/radius $(BIN)/httpcode
plugins: $(BIN)/radius $(BIN)/httpcode
$(BIN)/radius $(BIN)/httpcode: $(BIN)/%:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./contrib/plugins/$*

# What the tests need: Debian packages, and a Debian 13 root for Dovecot 2.4 and
# Roundcube 1.6.18.
deps:
	scripts/deps test
demo-deps:
	scripts/deps demo

# Ten seconds: vet, and the tests that start at most slapd.
quick:
	$(GO) vet ./...
	$(GO) test -short $$($(GO) list ./... | grep -v /internal/e2e)

# Everything: linters, then all tests against the real servers. A skipped test fails.
test: deps build lint
	scripts/test

lint:
	$(GO) vet ./...
	scripts/lint

# Needs the Go vulnerability database, hence not part of test.
vulncheck:
	$(GO) tool -modfile=tools/go.mod govulncheck ./...

fuzz:
	scripts/fuzz $(FUZZTIME)

bench: build
	scripts/deps test
	$(GO) run ./bench

demo: demo-deps build $(DEMO)
	$(AS_ROOT) $(DEMO) walk
demo-up: demo-deps build $(DEMO)
	$(AS_ROOT) $(DEMO) up
demo-down:
	@if [ -x $(DEMO) ]; then $(AS_ROOT) $(DEMO) down; else echo "No demo is running."; fi

# Dovecot and Postfix are started as root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
.PHONY: $(DEMO)
$(DEMO):
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./contrib/demo

# Files that are made from the source; a test fails when they are stale.
generate: $(BIN)/posternctl
	$(BIN)/posternctl config reference > contrib/postern.toml
	$(BIN)/posternctl reference > docs/reference/commands.md
	$(GO) run ./internal/reference . docs/reference
	scripts/proto

# deb and rpm for amd64 and arm64, checksums, bill of materials: build/packages.
package:
	scripts/package

# The pictures of docs/pages.md, by the tests' Chromium.
pictures:
	$(GO) test ./internal/web -run TestPictures -count=1 -args -pictures $(CURDIR)/docs/pictures

clean:
	rm -rf $(BIN) build
