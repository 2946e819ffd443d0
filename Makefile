.DEFAULT_GOAL := help
.PHONY: help setup tools web clients run quick test chaos check bench lock clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(VENV)/run web  ## create .venv with pinned dependencies, and build the page if Node is installed

tools: $(VENV)/dev  ## install the tools for tests and checks in .venv

$(VENV)/run: requirements/run.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

# the page is built only if Node is installed, and only when its sources changed; otherwise a plain page takes its place
NODE := node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
PAGE := eventscope/page/index.html

web:  ## build the page at /graphql, if Node is installed
	@if $(NODE) 2>/dev/null && command -v npm >/dev/null; then \
	  $(MAKE) --silent $(PAGE) || { echo "the page at /graphql could not be built"; test -z "$$CI"; }; \
	elif test ! -e $(PAGE); then echo "there is no Node 20.19+ with npm, so /graphql shows its plain page"; fi

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --ignore-scripts --no-progress --loglevel=error

$(PAGE): web/node_modules/.package-lock.json $(shell find web -name node_modules -prune -o -name dist -prune -o -type f -print)
	cd web && npm run --silent build -- --logLevel warn
	rm -rf eventscope/page && mv web/dist eventscope/page

tests/clients/node_modules/.package-lock.json: tests/clients/package.json tests/clients/package-lock.json
	cd tests/clients && npm ci --ignore-scripts --no-progress --loglevel=error

clients:  ## install the npm packages of the clients that tests run, if Node is installed
	@if $(NODE) 2>/dev/null && command -v npm >/dev/null; then \
	  $(MAKE) --silent tests/clients/node_modules/.package-lock.json || test -z "$$CI"; fi

run: setup  ## run everything on this machine: embedded MongoDB and NATS, ingester, API and sample events
	@exec $(BIN)/python eventscope/processes/guard.py --parent $$PPID -- $(BIN)/eventscope dev --sample

quick: $(VENV)/dev  ## run the tests that start no server, browser or command, in a minute; VENV=folder PYTHON=python3.13 for another Python
	$(BIN)/python -m pytest -p no:schemathesis -m "not processes" --numprocesses 3 --dist worksteal

# two at a time, each with servers of its own; then those that kill servers under load, which want the machine alone
test: setup $(VENV)/dev clients  ## run all tests, on a real mongod and a real nats-server, two files at a time
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/chaos
	$(BIN)/python -m pytest tests/chaos

chaos: setup $(VENV)/dev  ## run a hundred faults under load, and report what was lost (nothing); SEED=n chooses them
	$(BIN)/python -m tests.chaos --faults 100 --seed $(or $(SEED),1)
	HEAVY_EXAMPLES=500 HEAVY_SEED=$(or $(SEED),1) $(BIN)/python -m pytest --timeout 3600 tests/program/hostile/test_unblocked.py
	FUZZED_EXAMPLES=500 $(BIN)/python -m pytest --timeout 3600 tests/program/hostile/test_fuzzed.py

check: setup $(VENV)/dev  ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup $(VENV)/dev  ## measure ingest, reads, live delivery and memory, compared with floors and peers; results in benchmarks/results
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.ingest --memory
	$(BIN)/python -m benchmarks.read
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.stalled

lock: $(VENV)/dev  ## pin the dependencies again
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra embedded --group pyproject.toml:build pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra embedded --group pyproject.toml:build --group dev pyproject.toml -o requirements/dev.txt

clean:  ## remove everything that was built; data under .eventscope/ stays
	rm -rf .venv .venv-* eventscope/page web/dist web/node_modules tests/clients/node_modules build dist *.egg-info
	rm -rf benchmarks/peers/*/node_modules benchmarks/peers/*/.venv
