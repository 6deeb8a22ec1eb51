# The everyday commands. Everything is installed into .venv from hash-pinned locks; nothing outside it is touched.
# The first that runs and is new enough: a name on the PATH may be a version manager's shim for one that is switched off.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
ARGS ?=

.PHONY: run bi bi-environment check test test-long lint types bench bench-baseline bench-query chaos kills clients upgrade wheel tools audit lock clean help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | awk -F':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

# Two sets: what running needs, and the tools of everything else beside it.
.venv/.run: deploy/requirements.txt deploy/checkout_wheel.py pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found: install it, or make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r deploy/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-index --no-deps --force-reinstall "$$($(BIN)/python -m deploy.checkout_wheel .venv)"
	@touch $@

.venv/.ready: .venv/.run deploy/requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r deploy/requirements-dev.txt
	@touch $@

run: .venv/.run ## Run everything on this machine (ARGS="--no-simulator" waits for real vendors)
	@$(BIN)/callweave up $(ARGS)

bi: .venv/.run ## Show the dashboards in a Superset beside `make run` (ARGS="--port 8089")
	@$(BIN)/callweave bi $(ARGS)

check: .venv/.ready ## Check style, types, units and golden payloads: a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.lanes check

test: .venv/.ready ## Run what a change must pass, on a real Kafka and the real ClickHouse engine
	$(BIN)/python -m tests.lanes $(ARGS)

test-long: .venv/.ready tools bi-environment ## Run what takes hours: worlds, kills, chaos, the soak, and drivers in other languages
	CALLWEAVE_TEST_SCALE=25 $(BIN)/python -m pytest -m "long or not long" tests/unit tests/property tests/contract tests/chaos tests/embedded tests/integration tests/deployment tests/security
	$(MAKE) chaos DURATION=1800
	$(MAKE) kills
	$(BIN)/python -m tests.embedded.kill_clickhouse --kills 100
	$(BIN)/python -m tests.chaos.clickhouse_soak --seconds 3600
	$(MAKE) clients

bi-environment: .venv/.run ## Install Superset's environment into .bi, for the test of the dashboards
	@$(BIN)/callweave bi --install-only

lint: .venv/.ready ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready ## Check types
	$(BIN)/mypy

bench: .venv/.ready ## Measure each stage alone, the whole way, and peers beside ours; prints a table (ARGS="compare peers")
	$(BIN)/python -m tests.bench $(ARGS)

bench-baseline: .venv/.ready ## Measure the whole way beside an older commit, in turn (BASELINE=ae75f3b ROUNDS=2)
	$(BIN)/python -m tests.bench.against.baseline

bench-query: .venv/.ready ## Measure queries over many calls (CALLS=10000000)
	CALLS=$(or $(CALLS),10000000) $(BIN)/python -m tests.bench query

chaos: .venv/.ready ## Break every part of a real stack under traffic, and prove that nothing is lost (DURATION=600 SEED=7)
	$(BIN)/python -m tests.chaos --duration $(or $(DURATION),600) $(if $(SEED),--seed $(SEED)) $(ARGS)

kills: .venv/.ready ## Kill the sink and the workers again and again at named points of their lives (SINK=1000 WORKERS=200 SEED=7)
	$(BIN)/python -m tests.chaos.kills --sink $(or $(SINK),1000) --workers $(or $(WORKERS),200) $(if $(SEED),--seed $(SEED)) $(ARGS)

clients: .venv/.ready ## Try every driver (JDBC, Go, Node, Python) against the embedded ClickHouse, where its toolchain is
	$(BIN)/python -m tests.clients $(ARGS)

upgrade: .venv/.ready ## Replace a release (OLD=v0.1.0) by this one under traffic, and go back (MINUTES=60)
	$(BIN)/python -m tests.chaos.upgrade $(OLD) --minutes $(or $(MINUTES),60) $(ARGS)

wheel: .venv/.ready ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-index --no-build-isolation --no-deps -w dist .

# The tools of the deployment's tests and of the audit, in an environment of their own: no part needs them.
.venv/tools/.ready: tests/deployment/requirements.txt
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r tests/deployment/requirements.txt
	@touch $@

# Helm is built from its Go module, whose checksum Go checks, where there is a Go.
.venv/tools/bin/helm: .venv/tools/.ready
	@if command -v go >/dev/null; then GOBIN=$(CURDIR)/.venv/tools/bin go install helm.sh/helm/v3/cmd/helm@v3.22.0; else echo "no Go here: the chart is not rendered"; fi

tools: .venv/tools/bin/helm ## Install what checks the image, the chart and the packages (hadolint, Helm, pip-audit)

audit: .venv/.ready .venv/tools/.ready ## Write build/sbom.cdx.json, and look the locked packages up among known vulnerabilities
	@mkdir -p build
	.venv/tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --of JSON -o build/sbom.cdx.json deploy/requirements.txt
	$(BIN)/python -m tests.deployment.audit

lock: .venv/.ready ## Write the locks anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o deploy/requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra rocksdb --group dev -o deploy/requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra rocksdb -o deploy/requirements-rocksdb.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group build -o deploy/requirements-build.txt
	@for one in requirements requirements-installer; do $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 deploy/superset/$$one.in -o deploy/superset/$$one.txt || exit 1; done
	@for one in clients/python clients/suite deployment; do $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 tests/$$one/requirements.in -o tests/$$one/requirements.txt || exit 1; done
	@for one in tests/bench/against/*.in tests/bench/peers/programs/*.in; do $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c deploy/requirements.txt $$one -o $${one%.in}.txt || exit 1; done

clean: ## Remove the environment and what `make run` stored here
	rm -rf .venv .bi .callweave build dist
