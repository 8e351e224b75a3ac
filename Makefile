# Needs python3 (3.11 or newer) with venv, and make; everything else is put into .venv by the first command.
#   make demo    a whole analysis on simulated data, into demo_output/
#   make test    what CI runs: format, lint, types, tests with the examples in the docstrings, the wheel
PYTHON ?= python3
# On a machine that must not download the GPU build: make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
PYTEST_FLAGS ?= -n 2
BIN := .venv/bin
STAMP := .venv/.installed

# Two workers on two cores: a second thread in each would only get in the way.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types unit quick wheel newer bench constraints clean

help:
	@grep -E '^#   make' Makefile | cut -c3-
	@echo "  make lint | types | unit | quick | wheel | newer | bench | constraints | clean"

$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "omicsbal needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "No virtual environment could be made. On Debian: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	@touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/omicsbal demo --out demo_output

test: lint types unit wheel

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/pytest $(PYTEST_FLAGS)

quick: $(STAMP)
	$(BIN)/pytest $(PYTEST_FLAGS) -m "not slow"

wheel: $(STAMP)
	bash tests/wheel_check.sh

# The data side, which needs no torch, on a newer Python with the newest releases (mudata 0.4): make newer NEWER=python3.13
# Not part of CI: unpinned releases would break changes that have nothing to do with them. Their new warnings do not fail here.
NEWER ?= python3.12
newer:
	test -x .venv-newer/bin/python || $(NEWER) -m venv .venv-newer
	.venv-newer/bin/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*[d for d in p["dependencies"] if not d.startswith("torch")], "pooch", "pytest>=9", "pytest-xdist", sep="\n")' \
	  > .venv-newer/wanted.txt
	.venv-newer/bin/python -m pip install --quiet --upgrade -r .venv-newer/wanted.txt
	.venv-newer/bin/python -m pip install --quiet --no-deps -e .
	.venv-newer/bin/pytest $(PYTEST_FLAGS) -W default tests/datasets tests/io tests/pl tests/pp

bench: $(STAMP)
	$(BIN)/python benchmarks/accuracy.py run
	$(BIN)/python benchmarks/accuracy.py report
	$(BIN)/python benchmarks/speed.py

# After installing something new into .venv on purpose.
constraints:
	sed -n '1,/^torch==/p' constraints.txt > constraints.new
	$(BIN)/python -m pip freeze --exclude-editable --exclude omicsbal --exclude torch >> constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv .venv-newer build dist demo_output .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
