# Few verbs. `make run` shows the product on this machine; `make test` passes everything. Neither needs root.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
.PHONY: help run test check bench bench-peers crds docs lock image clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.venv/ready: pyproject.toml requirements.lock
	@echo "wsedge: preparing .venv with the packages of requirements.lock"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wsedge needs Python 3.11 or newer; call: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/ready ## control plane, chart, quickstart, live view until Ctrl-C (ONCE=1: once, asserted, then end)
	@$(BIN)/wsedge-devcluster quickstart $(if $(ONCE),--once)

test: .venv/ready ## every test: unit, component, cluster
	@$(BIN)/wsedge-devcluster build > /dev/null
	@$(BIN)/pytest --numprocesses=2 --dist=loadfile

check: .venv/ready ## ruff, mypy, import contracts, stale CRDs, helm lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m wsedge_operator.api.generate --check && $(BIN)/python -m wsedge_operator.api.reference --check
	@$(BIN)/wsedge-devcluster helm -- lint --strict charts/wsedge

bench: .venv/ready ## relay beside nginx in one run (needs nginx: make bench-peers)
	@$(BIN)/python tests/bench/relay.py

bench-peers: ## installs nginx by apt-get (needs root)
	apt-get install --yes --no-install-recommends nginx-light

crds: .venv/ready ## writes the CRDs from the pydantic models
	@$(BIN)/python -m wsedge_operator.api.generate

docs: .venv/ready ## writes the generated pages of docs/ from the pydantic models
	@$(BIN)/python -m wsedge_operator.api.reference

lock: ## resolves requirements.lock anew
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --extra dev --group build pyproject.toml --output-file requirements.lock && rm -rf .venv-lock

image: ## the one image, three commands
	docker build --tag wsedge:dev .

clean: ## removes what these targets made here (not the user's cache folder)
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
