# `make demo` and `make test` make their own .venv first; later calls go straight to work.
#
#   make test PYTHON=python3.12    take this interpreter, in a virtual environment of its own: .venv-3.12
#   make demo EXTRAS=dev,gpu       install other extras of setup.py as well
#   make demo MINUTES=60           train longer; the demo's run goes on where it was

SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint style clean

PYTHON :=
# Where PYTHON is given, the version of that interpreter, such as 3.12.
VERSION := $(if $(PYTHON),$(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null))
VENV := $(if $(PYTHON),.venv-$(or $(VERSION),unknown),.venv)
EXTRAS := dev
MINUTES := 3.3
# On two cores a small model trains fastest so (python -m experiments.benchmarks.threads); with more, TensorFlow decides.
THREADS := $(if $(filter 1 2,$(shell nproc 2> /dev/null)),TF_NUM_INTEROP_THREADS=2 TF_NUM_INTRAOP_THREADS=1)
# One more than the cores: tests also wait for commands that they have started.
TEST_PROCESSES := $(shell echo $$(($$(nproc 2> /dev/null || echo 2) + 1)))
comma := ,
# Touched when everything is installed; older than setup.py, or of other extras, it is out of date.
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

# First the Python on which the slow tests were run too, then the newest. Each is tried by running it: a shim of pyenv
# may exist and fail, and a system Python may lack venv.
PYTHONS := $(if $(PYTHON),"$(PYTHON)",$(foreach version,3.11 3.13 3.12 3.10 3.9,\
  python$(version) $(wildcard $(HOME)/.pyenv/versions/$(version).*[0-9]/bin/python)) python3 python)
IS_SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 13))

help:
	@echo "make demo   draw captions with the trained model of this package, train another, and measure both (six minutes)"
	@echo "make test   lint, and run the tests"
	@echo "make lint   lint alone: style, format, the order of the packages, types"
	@echo "make clean  remove the virtual environment and caches; data/ and runs/ stay"

demo: $(STAMP)
	@echo "1 of 3: images by the trained model that comes with the package"
	@$(VENV)/bin/python -m xmcgan.sample --pretrained=scenes --num_noise=3 --output=runs/first_images \
	  --caption="a red heart on the snow" --caption="a blue star and a yellow ball at night" \
	  --caption="a green cube to the left of a purple mushroom on the beach"
	@echo "2 of 3: a model trained here, from nothing, for $(MINUTES) minutes"
	@$(THREADS) $(VENV)/bin/python -m xmcgan.train --dataset=scenes --data_dir=data --workdir=runs/demo --minutes=$(MINUTES)
	@$(VENV)/bin/python -m xmcgan.sample --workdir=runs/demo --held_out=8
	@echo "3 of 3: both models and real images, measured"
	@$(THREADS) $(VENV)/bin/python -m eval.evaluate --workdir=runs/demo --data_dir=data --beside=pretrained:scenes \
	  --metrics=fid,is,soa

# Types are checked beside the tests, where a core waits now and then.
test: style
	@$(VENV)/bin/mypy --no-error-summary > .mypy.txt & types=$$!; \
	$(VENV)/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile && failed=0 || failed=$$?; \
	wait $$types || { cat .mypy.txt; failed=1; }; \
	rm -f .mypy.txt; exit $$failed

lint: style
	@$(VENV)/bin/mypy --no-error-summary

style: $(STAMP)
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check . || { echo "error: not formatted: run $(VENV)/bin/ruff format ." >&2; exit 1; }
	@$(VENV)/bin/lint-imports > .lint-imports.txt || { cat .lint-imports.txt; rm -f .lint-imports.txt; exit 1; }
	@rm -f .lint-imports.txt

$(STAMP): setup.py pyproject.toml
	@if ! $(VENV)/bin/python -m pip --version > /dev/null 2>&1; then \
	  for candidate in $(PYTHONS); do \
	    if "$$candidate" -c '$(IS_SUITABLE)' > /dev/null 2>&1; then found=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "error: no Python 3.9 to 3.13 (with venv) found: install one, or name it by make PYTHON=/path/to/python" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$found" --version) ($$found)"; \
	  "$$found" -m venv --clear $(VENV); \
	fi
	@echo "Installing TensorFlow and the rest into $(VENV); about 1 GB to fetch the first time, minutes"
	@$(VENV)/bin/python -m pip install --quiet --upgrade pip
	@# Of pip's many lines, the large files show that it goes on.
	@$(VENV)/bin/python -m pip install --editable '.[$(EXTRAS)]' | { grep --line-buffered ' MB)' || true; }
	@rm -f $(VENV)/.installed-* && touch $@

clean:
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
