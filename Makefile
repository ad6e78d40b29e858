# make help lists the targets. Nothing needs to be prepared but Python 3.11 or newer and a package index.

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
PYTHON  ?=

# PyTorch's index of CPU builds. Unset: used on Linux if it answers within 2 s, where the plain index would
# bring gigabytes of CUDA. Empty (TORCH_INDEX=): only the configured package index is asked.
CPU_INDEX := https://download.pytorch.org/whl/cpu

# Processes that the tests start find the environment's programs, and no LSL stream of theirs leaves this machine.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export LSLAPICFG ?= $(CURDIR)/deploy/lsl/loopback.cfg
# Without its dependencies, which are audio libraries and readers of data sets: its metrics need torch and snntorch alone.
NEUROBENCH := neurobench==2.3.0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test lint format unit system nightly faults soak fuzz fuzz-rest demo-decoder constraints clean
.DEFAULT_GOAL := help
# The checks share two cores with processes that they time.
.NOTPARALLEL:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## create .venv with everything in it (only when pyproject.toml or constraints.txt changed)

demo: $(STAMP) ## the whole system on a simulated rig, live in this terminal; Ctrl-C ends it
	$(BIN)/bmi-decoder demo

test: lint unit system ## every check and test, as in continuous integration

lint: $(STAMP) ## style, types and the storeys' imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One process more than processors, as many a test waits for a process of its own.
unit: $(STAMP) ## tests of single parts, and the examples in the docstrings
	OMP_NUM_THREADS=1 $(BIN)/pytest --ignore=tests/system --ignore=tests/faults --ignore=tests/fuzz --numprocesses $$(($$(nproc) + 1)) --dist worksteal --durations 20

system: $(STAMP) ## tests that start real processes
	$(BIN)/pytest tests/system -m 'not nightly' --numprocesses auto --dist worksteal --durations 20

nightly: $(STAMP) ## tests that take minutes each, and everything that can break broken
	$(BIN)/pytest tests/system tests/faults -m 'nightly or faults' --timeout 600

faults: $(STAMP) ## break everything that can break, measure what comes of it, and write docs/reference/faults.md
	BMI_FAULTS_PAGE=docs/reference/faults.md $(BIN)/pytest tests/faults --timeout 600

soak: $(STAMP) ## half an hour of swaps, recordings, subscribers and faults at random (SECONDS=..., SEED=...)
	mkdir -p build
	$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),1800) $(if $(SEED),--seed $(SEED)) --picture build/soak.png

fuzz: $(STAMP) ## 10^6 bad inputs to everything that reads what others wrote; writes docs/reference/fuzzing.md
	$(BIN)/python -m tests.fuzz --page docs/reference/fuzzing.md

fuzz-rest: $(STAMP) ## 10,000 requests made from the OpenAPI document, valid and not
	PYTHONPATH=. $(BIN)/python benchmarks/fuzz_rest.py --cases 14500

demo-decoder: $(STAMP) ## train again the decoder that ships with the package
	mkdir -p build
	$(BIN)/bmi-decoder simulate build/demo-subject.npz --seconds 1200 --subject 7 --seed 1
	$(BIN)/bmi-decoder train build/demo-subject.npz --decoder snn_streaming --input-filter low_latency \
	  --set hidden1=128 --set hidden2=64 --out services/demo/demo.bmi

constraints: ## renew constraints.txt with the newest versions that fit together
	@set -eu; $(find_python); $(find_torch_index); new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; \
	"$$python" -m venv "$$new/venv"; \
	"$$new/venv/bin/python" -m pip install $$torch_index -e '.[train,formats,dev]' "$$(grep '^torch==' constraints.txt)"; \
	{ sed -n '/^#/p' constraints.txt; \
	  "$$new/venv/bin/python" -m pip freeze --all --exclude pip --exclude-editable | sed 's/+[a-z0-9.]*$$//'; } > "$$new/constraints.txt"; \
	cp "$$new/constraints.txt" constraints.txt

clean: ## remove the environment, builds and caches
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Sets $python, or ends the recipe with the remedy.
define find_python
	python=; for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'bmi-decoder needs Python 3.11 or newer, and none was found. Install one, or name it: make install PYTHON=/path/to/python3.12' >&2; \
	  exit 1; \
	fi
endef

# The dashboard is tested in a real browser.
define find_chromium
	if ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } || \
	      echo 'Chromium could not be installed: the test of the dashboard is skipped.'; \
	  else \
	    echo 'No Chromium was found: the test of the dashboard is skipped. On Debian: apt install chromium'; \
	  fi; \
	fi
endef

# Sets $torch_index to pip's option, or to nothing. SIGALRM also ends a name look-up that hangs.
define find_torch_index
	torch_index=; \
	if [ '$(origin TORCH_INDEX)' != undefined ]; then \
	  torch_index='$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))'; \
	elif [ "$$(uname -s)" = Linux ]; then \
	  if "$$python" -c 'import signal, urllib.request as u; signal.alarm(2); u.urlopen("$(CPU_INDEX)/torch/")' >/dev/null 2>&1; then \
	    torch_index='--extra-index-url $(CPU_INDEX)'; \
	  else \
	    echo 'PyTorch'"'"'s CPU index does not answer: torch comes from the configured package index.'; \
	  fi; \
	fi
endef

$(STAMP): pyproject.toml constraints.txt
	@set -eu; $(find_python); $(find_torch_index); \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "$$python cannot create virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi; \
	$(BIN)/python -m pip install $$torch_index -c constraints.txt -e '.[train,formats,dev]'; \
	$(BIN)/python -m pip install --no-deps $(NEUROBENCH) || \
	  echo 'neurobench was not found: the tests that compare operation counts with it are skipped.'; \
	$(find_chromium); \
	echo 'Compiling the streaming machine, once ...'; \
	$(BIN)/python -m bmi_decoder.machine.warm; \
	touch $@
