# Needs Python, make and pip. Every target makes its virtual environment if it is missing, and works when run again.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP_ARGS ?=

# Nothing here reaches a model hub or a tracking server.
export HF_HUB_OFFLINE ?= 1
export WANDB_MODE ?= offline
ifneq ($(wildcard ../shared/data),)
export TOXICAI_DATA ?= $(abspath ../shared/data)
endif

setting = $(shell sed -n 's/^$(1) = //p' settings.ini)
PY_MIN := $(call setting,min_python)
PY_END := $(call setting,before_python)
PY_CHECK = import sys; num = lambda s: [*map(int, s.split("."))]; \
  num("$(PY_MIN)") <= [*sys.version_info[:2]] < num("$(PY_END)") or \
  sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}, but toxicai needs $(PY_MIN) or later, before $(PY_END): make PYTHON=/path/to/python")
CUDA = $(shell nvidia-smi >/dev/null 2>&1 && echo cuda)

.PHONY: help demo test test-all test-min export readme dist clean

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' Makefile

demo: $(VENV)/.installed-encoder ## Train, export and predict; on your own file: make demo DATA=my.csv TEXT=comment LABELS=toxic,insult
	$(BIN)/python -m toxicai.demo $(if $(DATA),--data '$(DATA)') $(if $(TEXT),--text '$(TEXT)') $(if $(LABELS),--labels '$(LABELS)')

# One thread for each of several processes: with more, they wait for each other
test test-all: export OMP_NUM_THREADS = 1
WORKERS ?= 2

test: $(VENV)/.installed-dev ## All notebooks and the fast tests
	$(BIN)/nbdev-test --do-print --n-workers $(WORKERS)
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-all: $(VENV)/.installed-dev ## The same with the slow tier
	$(BIN)/nbdev-test --do-print --n-workers $(WORKERS) --flags "slow $(CUDA) $(if $(TOXICAI_DATA),data)"
	$(BIN)/python -m pytest -n $(WORKERS)

test-min: .venv-min/constraints.txt ## `make test` with the lowest versions that settings.ini allows
	$(MAKE) test VENV=.venv-min PIP_ARGS="-c $<"

export: $(VENV)/.installed-dev ## Modules from the notebooks, and what `help` says of arguments from their comments
	$(BIN)/nbdev-export
	$(BIN)/python -m tools.help
	$(BIN)/nbdev-clean

readme: $(VENV)/.installed-dev ## README.md from nbs/index.ipynb
	$(BIN)/python docs/readme.py

dist: $(VENV)/.installed-dev ## The wheels toxicai-core and toxicai, those of data that are there, and the source archive, in dist/
	rm -rf dist build/dist
	$(BIN)/python -m build --sdist
	mkdir -p build/dist
	tar -xzf dist/*.tar.gz -C build/dist --strip-components=1
	for o in core training $(foreach o,weights multilingual,$(if $(wildcard toxicai_$(o)/detectors/*/toxicai.json),$(o))); do rm -rf build/dist/build; TOXICAI_DIST=$$o $(BIN)/python -m build --wheel --outdir dist build/dist || exit; done

clean: ## What builds and tests left behind; the environments stay (rm -rf .venv .venv-min)
	rm -rf build dist *.egg-info .pytest_cache .hypothesis
	find toxicai tests docs nbs -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

# venv writes pip last: an interrupted run starts again here
$(BIN)/pip:
	@$(PYTHON) -c '$(PY_CHECK)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: settings.ini setup.py pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install $(PIP_ARGS) -e '.[$*]'
	@touch $@

.venv-min/constraints.txt: settings.ini
	@mkdir -p $(@D)
	sed -nE '/^dev_/,$$d; /requirements =/,/^$$/s/^ +([^>]+)>=([^,]+),.*/\1==\2/p' $< > $@
