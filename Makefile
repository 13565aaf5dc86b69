# make demo    import the sample export, start the servers, say what to try
# make test    everything a change must pass: unit, integration, client and browser tests
# make bench   measurements beside the peers
# make lint    formatting, clippy and rustdoc, warnings denied

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-clients client-tools test-web web bench lint

# Shared by all checkouts of this machine, so that a fresh clone does not build the dependencies again.
CACHE := $(HOME)/.cache/latentdb
export CARGO_TARGET_DIR ?= $(CACHE)/target

DEMO_DATA  := demo-data
DEMO_PG    := 127.0.0.1:5433
DEMO_HTTP  := 127.0.0.1:3000
DEMO_FLAGS ?=

CLIENTS      := server/tests/clients
CLIENT_VENV  := $(CACHE)/venv-clients-$(shell sha256sum $(CLIENTS)/requirements.txt | cut -c1-12)
PYTEST_FLAGS ?=

help:
	@sed -n 's/^# make /make /p' Makefile

# ---- demo ---------------------------------------------------------------------------------------

RELEASE := $(CARGO_TARGET_DIR)/release/latentdb
DEMO    := $(CARGO_TARGET_DIR)/demo/latentdb

demo: web
	cargo build --profile demo --locked --bin latentdb
	@if [ ! -e $(DEMO_DATA)/.imported ]; then \
		for export in datasets/sample/export datasets/sample/export-db; do \
			$(DEMO) --data $(DEMO_DATA) import neuronpedia $$export --replace; \
		done; \
		$(DEMO) --data $(DEMO_DATA) model add docs-3m datasets/demo/model; \
		$(DEMO) --data $(DEMO_DATA) model lens docs-3m datasets/demo/lens.safetensors; \
		for source in datasets/demo/sources/*/; do \
			$(DEMO) --data $(DEMO_DATA) source add docs-3m/$$(basename $$source) $$source; \
		done; \
		$(DEMO) --data $(DEMO_DATA) generate docs-3m res,tc datasets/demo/texts.parquet; \
		$(DEMO) --data $(DEMO_DATA) layout docs-3m 3-res; \
		touch $(DEMO_DATA)/.imported; \
	fi
	@$(DEMO) --data $(DEMO_DATA) serve --pg $(DEMO_PG) --http $(DEMO_HTTP) $(DEMO_FLAGS)

# ---- test ---------------------------------------------------------------------------------------

test: test-rust test-clients test-web

EMBED_GOLDEN := udfs/runtime/tests/golden/embed

# One shape of build for all tests: another one (`--bin`, `-p`) asks for other features of the dependencies
# and compiles them all again. One test wants a real model, of 90 MB, which is fetched once.
test-rust: web
	@model=$$($(EMBED_GOLDEN)/fetch-minilm $(CACHE)) && set -x && LATENTDB_MINILM=$$model cargo test --locked

# Real clients against the binary that `cargo test` built. (`cargo build` alone would choose other features
# for the dependencies, and so compile all of them again; with --tests it does not.)
test-clients: client-tools web
	cargo build --locked --tests
	@model=$$($(EMBED_GOLDEN)/fetch-minilm $(CACHE)) && set -x && LATENTDB_MINILM=$$model \
		LATENTDB_BIN=$(CARGO_TARGET_DIR)/debug/latentdb $(CLIENT_VENV)/bin/python -m pytest $(CLIENTS) $(PYTEST_FLAGS)

client-tools: $(CLIENT_VENV)/.complete
	@$(CLIENTS)/install-system-clients

$(CLIENT_VENV)/.complete: $(CLIENTS)/requirements.txt
	python3 -m venv --clear $(CLIENT_VENV)
	$(CLIENT_VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# The app's units, and its pages in a browser against the same binary.
test-web: web
	web/tests/install-browser
	cargo build --locked --tests
	cd web && npm run unit
	@model=$$($(EMBED_GOLDEN)/fetch-minilm $(CACHE)) && set -x && cd web && LATENTDB_MINILM=$$model \
		LATENTDB_BIN=$(CARGO_TARGET_DIR)/debug/latentdb npm run e2e

# ---- web app ------------------------------------------------------------------------------------

# Its files become part of the binary, so it is built first, and only if something in web/ is newer.
WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' -not -path 'web/screenshots/*' -not -path 'web/tests/*')

web: web/dist/index.html

web/dist/index.html: $(WEB_SOURCES)
	cd web && npm ci && npm run build
	@touch $@

# ---- bench, lint --------------------------------------------------------------------------------

BENCH_VENV := $(CACHE)/venv-benches-$(shell sha256sum benches/requirements.txt | cut -c1-12)

bench: $(BENCH_VENV)/.complete
	cargo build --release --locked --bins
	$(BENCH_VENV)/bin/python benches/run.py --latentdb $(RELEASE) $(BENCH_FLAGS)

$(BENCH_VENV)/.complete: benches/requirements.txt
	python3 -m venv --clear $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
