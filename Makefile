# Everything a newcomer needs is `make run` and `make test`; each sets up what is missing.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check
PEERS_INSTALL := .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test browser simulate fuzz check format style types layers spelling dead-code coverage page-check package bench bench-kafka bench-latency bench-peers crash-test operator-test kafka-test kubernetes-test recipes-test ray-test dev clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/run-ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Setting up .venv (once; a minute or two, and pip shows what it does)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(INSTALL) --editable .
	@touch $@

.venv/dev-ready: .venv/run-ready
	@echo "Adding what tests and checks need (once)"
	@$(INSTALL) --editable '.[dev]'
	@touch $@

run: .venv/run-ready  ## Count a file of votes on 4 workers and show the totals
	@$(BIN)/python examples/alphabet/demo.py

dev: .venv/dev-ready  ## Set up .venv with all tools

# The tests of the page drive a real browser. Debian's needs no download of its own.
browser:  ## Install Chromium for the tests of the page, on Debian and where that is allowed
	@command -v chromium chromium-browser >/dev/null \
	  || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	    && echo "Installing Chromium for the tests of the page (once)" \
	    && { apt-get install --yes --quiet chromium >/dev/null 2>&1 \
	      || { apt-get update --quiet >/dev/null && apt-get install --yes --quiet chromium >/dev/null; }; }; } \
	  || echo "There is no Chromium here: the tests of the page in a browser are skipped"

test: .venv/dev-ready browser  ## Run the whole test suite
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m 'not slow'

kafka-test: .venv/dev-ready  ## Run all tests with a Kafka broker, those that take long included
	@$(BIN)/python -m pytest -m kafka tests/kafka

kubernetes-test: .venv/dev-ready  ## Check the Helm chart, and run what it renders in namespaces of this machine
	@$(BIN)/python -m pytest -m kubernetes tests/homes

recipes-test: .venv/dev-ready  ## Run the recipes with event time on one and three workers, and kill one
	@$(BIN)/python -m pytest tests/cluster/test_recipes.py

.venv-ray/ready: pyproject.toml | .venv/dev-ready
	@echo "Setting up .venv-ray, Ray's own environment (once; some minutes, 1 GB)"
	@test -x .venv-ray/bin/python || $(BIN)/python -m venv .venv-ray
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[ray]'
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/ray/requirements.txt
	@touch $@

ray-test: .venv-ray/ready  ## Run clusters on a real Ray (own environment): losses, drains, growth
	@.venv-ray/bin/python -m pytest -p no:cacheprovider -m ray tests/ray

# What starts no processes and is enough for the part that decides; the rest acts, and most of it runs
# in processes of their own.
COVERED := tests/wallaroo tests/simulation tests/test_public_api.py examples

coverage: .venv/dev-ready  ## Show which branches of wallaroo/ no test takes; fail below 95 %
	@$(BIN)/coverage run -m pytest -q -m 'not cluster' $(COVERED)
	@$(BIN)/coverage report --include='wallaroo/*' --skip-covered --show-missing --fail-under=95

SEEDS ?= 300

simulate: .venv/dev-ready  ## Run SEEDS=300 simulated clusters that meet faults of all kinds
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

INPUTS ?= 100000

fuzz: .venv/dev-ready  ## Send INPUTS=100000 hostile inputs to every port of running clusters
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS) $(ARGS)

check: style types layers spelling dead-code  ## Format, lint, types, layers, spelling, dead code: what CI runs first

style: .venv/dev-ready
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

format: .venv/dev-ready  ## Format the code and fix what can be fixed automatically
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: .venv/dev-ready
	@$(BIN)/mypy wallaroo workers cli tests examples
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/typing

layers: .venv/dev-ready
	@$(BIN)/lint-imports --no-logo

spelling: .venv/dev-ready
	@$(BIN)/codespell

dead-code: .venv/dev-ready
	@$(BIN)/vulture

package: .venv/dev-ready  ## Build what would be published into dist/, and check it as an index does
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist .
	@$(BIN)/python -m twine check --strict dist/*

PAGE := .page-check

# The declarations in tests/page stand for the libraries of the page, whose code is not checked, so
# the modules are checked beside these and not beside the libraries.
page-check:  ## Check the types in the page's modules, where npm is
	@if ! command -v npm >/dev/null; then \
	  echo "npm is not installed, so the page's modules are not checked: install Node.js and run this again"; \
	else \
	  mkdir -p $(PAGE) && rm -rf $(PAGE)/js $(PAGE)/vendor \
	  && cp -r tests/page/* workers/wallaroo_workers/dashboard/static/js $(PAGE)/ \
	  && npm --prefix $(PAGE) install --silent --no-audit --no-fund --no-package-lock \
	  && $(PAGE)/node_modules/.bin/tsc --project $(PAGE) \
	  && echo "The page's modules have no type errors"; \
	fi

.venv/bench-ready: .venv/dev-ready
	@echo "Adding what plots need (once)"
	@$(INSTALL) --editable '.[bench]'
	@touch $@

bench: .venv/bench-ready  ## Measure CPU a record against the bare loop, memory, start; plot
	@$(BIN)/python -m tests.bench $(ARGS)

bench-kafka: .venv/bench-ready  ## Measure what Kafka costs, in pairs, on a real broker
	@$(BIN)/python -m tests.bench.kafka $(ARGS)

bench-latency: .venv/bench-ready  ## Measure latency from source to sink beside a bare echo; plot
	@$(BIN)/python -m tests.bench.latency $(ARGS)

.venv-peers/ready: tests/bench/peers/requirements.txt | .venv/dev-ready
	@echo "Setting up .venv-peers, the peers' own environment (once; some minutes, 2 GB)"
	@test -x .venv-peers/bin/python || $(BIN)/python -m venv .venv-peers
	@$(PEERS_INSTALL) --requirement $< \
	  || { echo "Not all together, so each by itself"; \
	    grep -v '^#' $< | while read -r peer; do $(PEERS_INSTALL) "$$peer" || echo "Left out: $$peer"; done; }
	@touch $@

.venv-kafka-peers/ready: tests/bench/peers/kafka-requirements.txt | .venv/dev-ready
	@echo "Setting up .venv-kafka-peers, for peers that read from Kafka (once)"
	@test -x .venv-kafka-peers/bin/python || $(BIN)/python -m venv .venv-kafka-peers
	@.venv-kafka-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench-peers: .venv/dev-ready .venv-peers/ready .venv-kafka-peers/ready  ## Measure the same work in other stream processors (own environment)
	@$(BIN)/python -m tests.bench.peers $(ARGS)

crash-test: .venv/dev-ready  ## Kill processes of clusters under load at random, KILLS=100 times; check all totals
	@$(BIN)/python -m tests.crash --kills $(or $(KILLS),100) $(if $(SEED),--seed $(SEED))

operator-test: .venv/dev-ready  ## Play all that the original's scripts do to a cluster (an hour); ARGS="--only resize"
	@$(BIN)/python -m tests.operator $(ARGS)

clean:  ## Remove environments and caches
	rm -rf .venv .venv-peers .venv-kafka-peers .venv-ray .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .page-check
