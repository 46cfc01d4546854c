# Every command a contributor or a machine needs; `make help` lists them.
# ARGS goes to the program behind a target: make test ARGS='-k bearer'.

# The first of these that is Python 3.11 or newer, unless PYTHON says otherwise.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

BIN := .venv/bin
PIP := -m pip --disable-pip-version-check install --quiet
# The versions that were tested together; `make setup LOCK=` takes the newest that pyproject.toml allows.
LOCK ?= constraints.txt
LOCKED := $(if $(LOCK),--constraint $(LOCK))

RUNTIME := .venv/.runtime
DEV := .venv/.dev
PROTO := .venv-proto/.proto

# Side by side, a file after the other in each process. There is one more process than processors:
# some tests wait for most of their time.
SIDE_BY_SIDE := --numprocesses $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1))) --dist loadgroup --no-loadscope-reorder

# What one of several checks says stays together, where make can do that.
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# The contracts of the last release, as buf wrote them (CONTRIBUTING.md, "Releasing").
RELEASED := protos/released.binpb

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environments: made once, remade when pyproject.toml changes

.PHONY: setup
setup: $(DEV) $(PROTO) ## make .venv and .venv-proto with everything below needs

.PHONY: python
python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed: install one, or name it with make PYTHON=/path/to/python3" >&2; exit 1; }

$(RUNTIME): pyproject.toml $(LOCK) | python
	@echo "installing what the servers need into .venv" >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python $(PIP) $(LOCKED) --editable '.[server,gateway,console]'
	@touch $@

$(DEV): $(RUNTIME)
	@echo "installing what tests and checks need into .venv" >&2
	@$(BIN)/python scripts/dependency_group.py dev > .venv/dev.txt
	@$(BIN)/python $(PIP) $(LOCKED) --requirement .venv/dev.txt
	@touch $@

$(PROTO): pyproject.toml | python
	@echo "installing the code generators into .venv-proto" >&2
	@.venv-proto/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-proto
	@.venv-proto/bin/python scripts/dependency_group.py proto > .venv-proto/proto.txt
	@.venv-proto/bin/python $(PIP) --requirement .venv-proto/proto.txt
	@touch $@

.PHONY: lock
lock: python ## take the newest versions that pyproject.toml allows, and write constraints.txt
	@scripts/lock.sh "$(PYTHON)"

# --- contracts

.PHONY: proto
proto: $(PROTO) ## generate keyauthority/v1 and protos/keyauthority.binpb from protos
	@scripts/proto.sh

.PHONY: proto-check
proto-check: $(PROTO) ## fail when these are not what protos generate
	@scripts/proto_check.sh

.PHONY: sync-vectors
sync-vectors: $(DEV) ## simulate the verifier, and write the test vectors for verifiers in other languages
	@$(BIN)/python -m tests.coherence.recording

.PHONY: proto-breaking
proto-breaking: $(DEV) ## fail when protos break what the last release promised
	@if test -e $(RELEASED); then $(BIN)/buf breaking --against $(RELEASED); \
	else echo "no release yet: nothing to break"; fi

# --- checks

.PHONY: format
format: $(DEV) ## rewrite the code in the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/buf format --write

.PHONY: lint
lint: $(DEV) ## style, contract style and which room imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/buf lint
	@$(BIN)/buf format --exit-code --diff
	@$(BIN)/lint-imports --no-logo

.PHONY: types
types: $(DEV) ## mypy --strict over everything
	@$(BIN)/mypy

.PHONY: test
test: $(DEV) ## every test this machine can run; says what it skipped and why
	$(if $(ARGS),,@echo "every test: about 15 minutes on two cores; some of them: make test ARGS='tests/rpc -k bearer'")
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),$(SIDE_BY_SIDE))

.PHONY: test-long
test-long: $(DEV) ## the tests marked long, turned up
	@TEST_LONG=1 $(BIN)/python -m pytest -m long --timeout 7200 $(ARGS)

.PHONY: fresh-machine
fresh-machine: python ## make run and make test on a minimal Debian, where one can be made
	@$(PYTHON) scripts/fresh_machine.py

.PHONY: check
check: ## everything CI runs
	@$(MAKE) --no-print-directory --jobs 2 $(OUTPUT_SYNC) lint types proto-check proto-breaking
	@$(MAKE) --no-print-directory test

# --- the product

.PHONY: run
run: $(RUNTIME) ## start authority, gateway, console and a demo upstream; Ctrl-C stops them
	@$(BIN)/python -m demo.run

.PHONY: story
story: $(RUNTIME) ## revoke keys at two gateways, one of them frozen, and explain each step
	@$(BIN)/python -m demo.story

.PHONY: bench
bench: $(DEV) ## measure, and write benchmarks/results.md
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: edges
edges: $(DEV) ## measure the proxies of docs/edges.md that are installed, and print its table
	@$(BIN)/python -m benchmarks.proxies $(ARGS)

.PHONY: scaling
scaling: $(DEV) ## simulate how far the measured costs carry, and write docs/scaling.md
	@$(BIN)/python -m benchmarks.scaling $(ARGS)

.PHONY: clean
clean: ## remove environments, caches and builds; data directories stay
	@rm -rf .venv .venv-proto build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
