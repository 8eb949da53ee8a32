# `make demo` and `make test` set up all they need. They want Python 3.11 to 3.14 with its venv module, and a way to
# fetch packages; everything goes into .venv, in the exact versions of requirements*.lock. Only torch, which `make test`
# wants for training, has its version in pyproject.toml; `make test TRAIN=` does without, and skips the tests of training.

.DEFAULT_GOAL := help
.PHONY: help demo test lint format lock clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT := demo-out
UV_VERSION := 0.13.8

# The Pythons for which every locked package is built.
SUITED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
# The first of these that suits; `make PYTHON=/path/to/python3 test` chooses another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c '$(SUITED)' 2>/dev/null && echo "$$python" && break; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
LOCKED := $(PIP) --no-build-isolation --require-hashes -r
TRAIN ?= train
INSTALLED := $(VENV)/.installed
DEV_INSTALLED := $(VENV)/.installed-dev

help:
	@echo "make demo    a survey of a simulated scene, from interferograms to report"
	@echo "make test    all tests; those on real data run where GROUNDSHIFT_DATA names their folder"
	@echo "make lint    style, types, and the order of imports"
	@echo "make format  put the code into the style that lint asks for"
	@echo "make lock    resolve all versions anew (make lock UPGRADE=--upgrade: the latest ones)"
	@echo "make clean   remove what the others made"

demo: $(INSTALLED)
	@$(BIN)/groundshift demo -o $(DEMO_OUT)
	@echo "Report: $(CURDIR)/$(DEMO_OUT)/survey/report.html"

test: $(DEV_INSTALLED)
	@$(BIN)/python -m pytest

lint: $(DEV_INSTALLED)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEV_INSTALLED)
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# pip is the last thing that venv writes: where it is missing, the environment is missing or half made.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.14 found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUITED)' || { echo "make: $(PYTHON) is not a Python 3.11 to 3.14; name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) lacks its venv module; install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV); the first time takes a minute or two"
	@"$(PYTHON)" -m venv --clear $(VENV)

$(INSTALLED): requirements-build.lock requirements.lock pyproject.toml | $(BIN)/pip
	@$(LOCKED) requirements-build.lock
	@$(LOCKED) requirements.lock
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

$(DEV_INSTALLED): requirements-dev.lock $(INSTALLED)
	@$(LOCKED) requirements-dev.lock
	@test -z "$(TRAIN)" || $(PIP) --no-build-isolation -e '.[$(TRAIN)]'
	@problems=$$($(BIN)/python -m pip check) || { echo "$$problems" >&2; \
		echo "make: the locked versions do not fit pyproject.toml; run make lock" >&2; exit 1; }
	@touch $@

# One resolution for every Python from 3.11 on; the smaller sets are parts of the largest.
lock: | $(BIN)/pip
	@test -x $(VENV)/lock/bin/uv || $(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip --disable-pip-version-check install -qq uv==$(UV_VERSION)
	@$(COMPILE) $(UPGRADE) --group dev --group build pyproject.toml -o requirements-dev.lock
	@$(COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock
	@$(COMPILE) -c requirements-dev.lock --group build -o requirements-build.lock

COMPILE = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --custom-compile-command "make lock"

clean:
	rm -rf $(VENV) $(DEMO_OUT) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
