# Everything a person does with this repository. `make help` lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
PYTHON := $(VENV)/bin/python
BINARY := target/debug/quartermaster

.PHONY: help run test check bench generate test-rust test-sdk test-crash lock-python

help: ## Lists the targets.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: ## Builds and starts the server; the first start prints an address, a key and a ready curl line.
	cargo build --locked --bin quartermaster
	exec $(BINARY) serve

test: test-rust test-sdk test-crash ## Installs what the tests need, then runs all of them.

check: ## Format, clippy, architecture and fast tests: a few minutes.
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace --lib --bins
	cargo test --locked -p quartermaster-server --test it architecture

test-rust: .installed
	cargo test --locked --workspace

# The binary that the Rust tests use serves the others too: the same features, built once.
.PHONY: test-binary
test-binary:
	cargo test --locked --workspace --no-run

test-sdk: .installed $(VENV)/installed test-binary ## The official SDKs against a running server.
	$(PYTHON) -m pytest -q tests/sdk

test-crash: .installed $(VENV)/installed test-binary ## kill -9 under load: nothing acknowledged is lost or done twice.
	$(PYTHON) -m pytest -q tests/crash

bench: ## Load beside nginx and a direct call; writes docs/benchmarks.md.
	bench/run

generate: ## Writes what is generated from the code: docs/openapi.json and docs/providers.md.
	cargo run --locked --quiet --bin quartermaster -- openapi > docs/openapi.json
	cargo run --locked --quiet --bin quartermaster -- providers > docs/providers.md

.PHONY: .installed
.installed:
	@tests/install

$(VENV)/installed: tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

lock-python: ## Resolves tests/requirements.in into tests/requirements.txt.
	python3 -m venv --clear target/lock-venv
	target/lock-venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.in
	{ echo '# Resolved from requirements.in with `make lock-python`; do not edit by hand.'; \
	  target/lock-venv/bin/pip freeze; } > tests/requirements.txt
