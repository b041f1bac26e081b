# Everything a newcomer needs is `make run` and `make test`; each sets up what is missing.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test check format style types layers bench bench-latency dev clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/run-ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Setting up .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev-ready: .venv/run-ready
	@echo "Adding what tests and checks need (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: .venv/run-ready  ## Count a file of votes on 4 workers and show the totals
	@$(BIN)/python examples/alphabet/demo.py

dev: .venv/dev-ready  ## Set up .venv with all tools

test: .venv/dev-ready  ## Run the whole test suite
	@$(BIN)/python -m pytest

check: style types layers  ## Format, lint, types and layers: what CI runs before the tests

style: .venv/dev-ready
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

format: .venv/dev-ready  ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: .venv/dev-ready
	@$(BIN)/mypy wallaroo workers cli tests

layers: .venv/dev-ready
	@$(BIN)/lint-imports --no-logo

bench: .venv/dev-ready  ## Measure CPU a record against the bare loop
	@$(BIN)/python -m tests.bench $(ARGS)

bench-latency: .venv/dev-ready  ## Measure latency from source to sink beside a bare echo
	@$(BIN)/python -m tests.bench.latency $(ARGS)

clean:  ## Remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
