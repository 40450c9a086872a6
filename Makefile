# Two commands on a machine that has Python (3.11 or newer), pip and make:
#   make quickstart [DATA=dir] [OUT=dir]   creates .venv, installs what is locked, runs the whole recipe on a small scale
#   make test                              the same for the tests
PYTHON ?= python3
VENV ?= .venv
OUT ?= out/quickstart
BIN := $(VENV)/bin
# PyTorch and PEFT are what the parity tests compare with. On Linux, PyPI's build brings several GB of CUDA libraries; set
# PIP_EXTRA_INDEX_URL to PyTorch's own CPU index, or PIP_FIND_LINKS to a folder with a CPU wheel, to be spared them.
TORCH := torch==2.13.0 peft==0.21.2 accelerate==1.15.0

.PHONY: quickstart reproduce test test-fast lint lock clean

quickstart: $(BIN)/.installed
	$(BIN)/jmed quickstart $(if $(DATA),--data "$(DATA)") --out "$(OUT)" --overwrite

# README's small clinical model, trained again; fails where a score leaves the interval on record. An hour and a half.
reproduce: $(BIN)/.installed
	$(BIN)/python tools/reproduce.py --data "$(DATA)" --out out/clinical --check $(lastword $(sort $(wildcard tools/results/clinical_small_test-*.json)))

test: lint test-fast
	$(BIN)/python -m pytest -n 2 -m slow

test-fast: $(BIN)/.installed-test
	$(BIN)/python -m pytest -n 2 -m "not slow"

lint: $(BIN)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed; set PYTHON=python3.12, say"'
	$(PYTHON) -m venv $(VENV)

$(BIN)/.installed: requirements/runtime.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(BIN)/.installed-test: requirements/test.lock $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/test.lock
	$(BIN)/python -m pip install --quiet $(TORCH)
	touch $@

# Locks for every Python from 3.11 on and every platform; needs uv.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml requirements/build.in -o requirements/runtime.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml requirements/build.in --extra test --extra corpus --extra scores -c requirements/runtime.lock -o requirements/test.lock

clean:
	rm -rf $(VENV) out
